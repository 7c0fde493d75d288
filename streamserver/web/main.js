/**
 * The composition of the page: builds its parts, carries events between them, and keeps the one situation that the
 * status is told from.
 * @module
 */

import { Bar } from "./bar.js";
import { Control } from "./control.js";
import {
  encodeButtonDown, encodeButtonUp, encodeKeyDown, encodeKeyUp, encodeMove, encodeScroll,
} from "./datachannel.js";
import { Doze } from "./doze.js";
import { element } from "./element.js";
import { FullScreen } from "./fullscreen.js";
import { Gate } from "./gate.js";
import { Keyboard } from "./keyboard.js";
import { Notice } from "./notice.js";
import { Peer } from "./peer.js";
import { People } from "./people.js";
import { Pointer } from "./pointer.js";
import { Prompts } from "./prompts.js";
import { address } from "./rest.js";
import { Room } from "./room.js";
import { logout, whoami } from "./session.js";
import { SignIn } from "./signin.js";
import { Socket } from "./socket.js";
import { Sound } from "./sound.js";
import { describe } from "./status.js";
import { View } from "./view.js";

/** @typedef {import("./status.js").Situation} Situation */

const field = element("keyboard", HTMLTextAreaElement);
const keysButton = element("keys", HTMLButtonElement);
const signOutButton = element("sign-out", HTMLButtonElement);
const peopleButton = element("people-toggle", HTMLButtonElement);

/** @type {Pick<Situation, "phase" | "media" | "picture" | "mediaAttempt" | "lost" | "asleepSince" | "end">} */
const situation = {
  phase: "checking",
  media: "none",
  picture: false,
  mediaAttempt: 0,
  lost: { why: "", attempt: 0, since: 0, next: null },
  asleepSince: 0,
  end: { title: "", detail: "", action: null },
};

const room = new Room();
const prompts = new Prompts();
const bar = new Bar();
const sound = new Sound();
const fullScreen = new FullScreen(() => inControl() && field.focus());
const notice = new Notice(connect, () => void signOut());
const signIn = new SignIn((busy) => enter(busy ? "signing-in" : "signed-out"), connect);
const socket = new Socket({
  url: address("api/ws"),
  onEvent: hear,
  onState: socketChanged,
  // Only a clear "no" ends the session: a server that does not answer says nothing about it.
  stillSignedIn: () => whoami().then((session) => session !== null, () => true),
});
const send = socket.send.bind(socket);
const doze = new Doze({ send, connected: () => situation.phase === "live", sleep: fallAsleep, wake: connect });
const peer = new Peer({
  send,
  onStream: (stream) => {
    view.show(stream);
    draw();
  },
  onEnding: () => {
    view.keepLast();
    situation.picture = false;
  },
  onMessage: (message) => message.type !== "pong" && view.showCursor(message),
  onState: (media, mediaAttempt) => {
    Object.assign(situation, { media, mediaAttempt });
    // Its path works again, so the server does: do not wait for the next try.
    if (media === "connected") socket.hurry();
    draw();
  },
});
const view = new View({
  stage: element("stage", HTMLElement),
  surface: element("surface", HTMLElement),
  video: element("video", HTMLVideoElement),
  still: element("still", HTMLCanvasElement),
  cursor: element("cursor", HTMLImageElement),
  bar: element("bar", HTMLElement),
  onPicture: () => {
    situation.picture = true;
    draw();
  },
});
const control = new Control({ room, send, prompts, onChange: draw });
const people = new People({ give: (id) => control.give(id), reset: () => control.reset(), toggled: lookAtGate });
const gate = new Gate();
const mac = /mac|iphone|ipad/i.test(navigator.platform);
const keyboard = new Keyboard({
  field,
  mac,
  active: inControl,
  keyDown: (keysym) => peer.send(encodeKeyDown(keysym)),
  keyUp: (keysym) => peer.send(encodeKeyUp(keysym)),
  leave: () => {
    field.blur();
    element("control", HTMLButtonElement).focus();
  },
});
const pointer = new Pointer({
  surface: element("surface", HTMLElement),
  locate: (event) => view.locate(event),
  active: inControl,
  pointing: () => situation.phase === "live" && Boolean(room.settings?.inactive_cursors && room.me?.profile.sends_inactive_cursor),
  controlDown: () => keyboard.controlDown,
  move: ({ x, y }) => peer.send(encodeMove(x, y), true),
  buttonDown: (button) => peer.send(encodeButtonDown(button)),
  buttonUp: (button) => peer.send(encodeButtonUp(button)),
  scroll: (dx, dy, controlKey) => peer.send(encodeScroll(dx, dy, controlKey)),
  pressed: (byTouch) => {
    if (!inControl()) control.press();
    // A finger on the picture must not bring up the on-screen keyboard; its button does.
    else if (!byTouch) field.focus({ preventScroll: true });
  },
});

/** Whether input goes to the shared browser. */
function inControl() {
  return situation.phase === "live" && situation.media === "connected" && room.inControl;
}

function connect() {
  signIn.hide();
  socket.start();
}

/** Nobody looks: let go of everything but the last picture. */
function fallAsleep() {
  letGo();
  prompts.clear();
  people.open(false);
  peer.close();
  socket.stop();
  situation.asleepSince = Date.now();
  enter("asleep");
}

async function signOut() {
  doze.forget();
  socket.stop();
  peer.close();
  view.clear();
  situation.picture = false;
  await logout();
  askToSignIn("");
}

/** @param {string} note */
function askToSignIn(note) {
  people.open(false);
  prompts.clear();
  enter("signed-out");
  signIn.show(note);
}

/** @param {Situation["phase"]} phase */
function enter(phase) {
  situation.phase = phase;
  draw();
}

/** @param {import("./socket.js").SocketState} state */
function socketChanged(state) {
  switch (state.kind) {
    case "connecting":
      enter("connecting");
      break;
    case "open":
      // `live` comes with system/init, which is heard next.
      break;
    case "reconnecting":
      situation.lost = state;
      prompts.clear();
      letGo();
      doze.lost();
      enter("reconnecting");
      break;
    case "ended":
      doze.forget();
      prompts.clear();
      letGo();
      peer.close();
      situation.end = state.farewell;
      if (state.farewell.then === "signed-out") {
        view.clear();
        situation.picture = false;
        askToSignIn(state.farewell.detail);
      } else enter("ended");
  }
}

/**
 * @param {string} event
 * @param {any} payload
 */
function hear(event, payload) {
  if (peer.hear(event, payload) || doze.hear(event, payload)) return;
  const couldWatch = room.me?.profile.can_watch;
  const hadControl = room.inControl;
  const before = room.self;
  if (room.hear(event, payload)) {
    if (event === "system/init") began(before);
    if (event === "system/settings" || event === "system/init") socket.beat(room.settings?.heartbeat_interval ?? 0);
    if (event === "screen/updated" || event === "system/init") view.setScreen(room.screen);
    if (event === "session/profile" && couldWatch !== room.me?.profile.can_watch) watch();
    if (event === "session/deleted") prompts.withdraw(`request ${payload.id}`);
    if (event === "control/host") controlChanged(hadControl);
    draw();
  } else if (event === "control/request") control.requested(payload.id);
}

/** @param {string | null} before our session before this connection */
function began(before) {
  situation.phase = "live";
  control.changed();
  const outlived = before === room.self && Boolean(room.me?.state.is_watching);
  if (room.me?.profile.can_watch) peer.resume(outlived);
  else peer.close();
}

/** What we may see has changed. */
function watch() {
  if (room.me?.profile.can_watch) peer.start();
  else {
    peer.close();
    view.clear();
    situation.picture = false;
  }
}

/** @param {boolean} hadControl */
function controlChanged(hadControl) {
  const wanted = control.wanted;
  control.changed();
  if (room.inControl && !hadControl) {
    pointer.forget();
    if (wanted || document.activeElement === document.body) field.focus({ preventScroll: true });
    prompts.hint("You are in control. Press and release Ctrl+Alt+Shift to get your keyboard back.");
  } else if (!room.inControl && hadControl) {
    letGo();
    if (room.controller !== null) prompts.hint(`${room.name(room.controller)} is in control now.`);
  }
}

/** Nothing pressed here stays pressed there. */
function letGo() {
  keyboard.releaseAll();
  pointer.releaseAll();
  if (document.activeElement === field) field.blur();
}

function draw() {
  const { phase } = situation;
  const live = phase === "live";
  const status = describe({
    ...situation,
    canWatch: room.me?.profile.can_watch ?? true,
    isPrivate: room.isPrivateForMe,
    browser: room.browser,
    browserCrashed: room.browserCrashed,
    inControl: room.inControl,
    controller: room.controller === null ? null : room.name(room.controller),
    asked: control.asked,
  });
  document.body.dataset.phase = phase;
  document.body.classList.toggle("dimmed", status.notice !== null);
  document.body.classList.toggle("in-control", inControl());
  document.title = status.kind === "control" ? "In control · catnap" : phase === "reconnecting" ? "Reconnecting · catnap" : "catnap";
  bar.say(status.kind, status.sentence);
  notice.show(status);
  notice.count(phase === "reconnecting" ? situation.lost : null);
  if (live) control.show();
  else control.hide();
  people.show(room);
  lookAtGate();
  peopleButton.hidden = !live;
  signOutButton.hidden = !live && phase !== "connecting" && phase !== "reconnecting";
  sound.show(live && view.hasSound);
  fullScreen.show(live);
  keysButton.hidden = !(inControl() && matchMedia("(pointer: coarse)").matches);
  field.tabIndex = inControl() ? 0 : -1;
  view.setOwnCursor(inControl());
  capturing();
}

/** Admins see why the machine is awake below the list of people. */
function lookAtGate() {
  gate.look(situation.phase === "live" && people.isOpen && Boolean(room.me?.profile.is_admin));
}

/** Whether the keyboard belongs to the shared browser right now. */
function capturing() {
  const on = inControl() && document.activeElement === field;
  document.body.classList.toggle("capturing", on);
  bar.mayHide(on || (inControl() && matchMedia("(pointer: coarse)").matches));
}

field.addEventListener("focus", capturing);
field.addEventListener("blur", capturing);
keysButton.addEventListener("click", () => field.focus());
signOutButton.addEventListener("click", () => void signOut());
setInterval(() => situation.phase === "reconnecting" && !document.hidden && notice.count(situation.lost), 1000);

/** Look whether a cookie of before still holds; without an answer, connecting says why. */
async function begin() {
  draw();
  const session = await whoami().catch(() => undefined);
  if (session === null) askToSignIn("");
  else connect();
}

void begin();
