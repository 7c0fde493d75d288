/**
 * The composition of the page: builds its parts, carries events between them, and keeps the one situation that the
 * status is told from.
 * @module
 */

import { Bar } from "./bar.js";
import { Broadcast } from "./broadcast.js";
import { Chat } from "./chat.js";
import { Clipboard } from "./clipboard.js";
import { Connection } from "./connection.js";
import { Control } from "./control.js";
import {
  encodeButtonDown, encodeButtonUp, encodeKeyDown, encodeKeyUp, encodeMove, encodeScroll,
} from "./datachannel.js";
import { Doze } from "./doze.js";
import { Drop } from "./drop.js";
import { element } from "./element.js";
import { Files } from "./files.js";
import { FullScreen } from "./fullscreen.js";
import { Gate } from "./gate.js";
import { Keyboard } from "./keyboard.js";
import { Link } from "./link.js";
import { Notice } from "./notice.js";
import { Panel } from "./panel.js";
import { Peer } from "./peer.js";
import { People } from "./people.js";
import { Pointer } from "./pointer.js";
import { Pointers } from "./pointers.js";
import { Prompts } from "./prompts.js";
import { address, rest, RestError } from "./rest.js";
import { Room } from "./room.js";
import { RoomSettings } from "./roomsettings.js";
import { logout, whoami } from "./session.js";
import { Sharing } from "./sharing.js";
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
const connectionButton = element("connection-toggle", HTMLButtonElement);
const zoomButton = element("zoom-reset", HTMLButtonElement);

/** @type {Pick<Situation, "phase" | "media" | "picture" | "paused" | "mediaAttempt" | "lost" | "asleepSince" | "end">} */
const situation = {
  phase: "checking",
  media: "none",
  picture: false,
  paused: false,
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
const signIn = new SignIn((busy) => enter(busy ? "signing-in" : "signed-out"), connect, () => peer.prepare());
const socket = new Socket({
  url: address("api/ws"),
  onEvent: hear,
  onState: socketChanged,
  // Only a clear "no" ends the session: a server that does not answer says nothing about it.
  stillSignedIn: () => whoami().then((session) => session !== null, () => true),
});
const send = socket.send.bind(socket);
const doze = new Doze({ send, connected: () => situation.phase === "live", sleep: fallAsleep, wake: connect });
/** @type {Peer} */
const peer = new Peer({
  send,
  onShared: () => draw(),
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
  onVideo: (status) => {
    connection.setStatus(status);
    situation.paused = status.paused === true;
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
const panel = new Panel(() => draw());
const people = new People({
  give: (id) => control.give(id),
  reset: () => control.reset(),
  mute: (id, muted) => void administer("POST", `api/members/${encodeURIComponent(id)}`, { plugins: { "chat.can_send": !muted } }),
  disconnect: (id) => void administer("POST", `api/sessions/${encodeURIComponent(id)}/disconnect`),
  signOut: (id) =>
    prompts.ask(`end ${id}`, `Sign ${room.name(id)} out?`, [
      { label: "Sign out", primary: true, act: () => void administer("DELETE", `api/sessions/${encodeURIComponent(id)}`) },
      { label: "Keep", act: () => undefined },
    ]),
});
const chat = new Chat({ room, send, prompts, looking: () => panel.shows("chat") && !document.hidden, changed: draw });
const files = new Files({ room, prompts, changed: draw });
const broadcast = new Broadcast(prompts);
const roomSettings = new RoomSettings({ room, send, prompts });
/** @type {Connection} */
const connection = new Connection({
  report: () => peer.report(),
  connected: () => situation.phase === "live" && situation.media === "connected",
  looking: () => panel.shows("connection"),
  choose: (id) => peer.choose(id),
});
const gate = new Gate();
const pointers = new Pointers({ room, place: (point) => view.place(point) });
const mac = /mac|iphone|ipad/i.test(navigator.platform);
const keyboard = new Keyboard({
  field,
  mac,
  active: inControl,
  keyDown: (keysym) => peer.send(encodeKeyDown(keysym)),
  keyUp: (keysym) => peer.send(encodeKeyUp(keysym)),
  pasting: mayUseClipboard,
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
  pinch: (factor, from, to, first) => {
    view.pinch(factor, from, to, first);
    zoomButton.hidden = !view.enlarged;
  },
  enlarged: () => view.enlarged,
  pressed: (byTouch) => {
    if (!inControl()) control.press();
    // A finger on the picture must not bring up the on-screen keyboard; its button does.
    else if (!byTouch) field.focus({ preventScroll: true });
  },
});

const clipboard = new Clipboard({
  send,
  prompts,
  allowed: mayUseClipboard,
  letGo: () => keyboard.releaseAll(),
  inPlace: (act) => peer.inPlace(act),
  self: () => room.self,
});
const link = new Link({ allowed: inControl, prompts });
const sharing = new Sharing({
  prompts,
  allowed: (kind) => situation.phase === "live" && room.takes.includes(kind) && Boolean(room.me?.profile.can_share_media),
  share: (kind, track) => peer.share(kind, track),
  shares: (kind) => peer.shares(kind),
});
const drop = new Drop({
  active: inControl,
  mayUpload: () => situation.phase === "live" && files.mayUpload,
  share: (dropped) => {
    panel.open("files");
    return files.take(dropped);
  },
  locate: (event) => view.locate(event),
  prompts,
});

/** Whether input goes to the shared browser. */
function inControl() {
  return situation.phase === "live" && situation.media === "connected" && room.inControl;
}

/** Whether the clipboard of the shared browser is ours too. */
function mayUseClipboard() {
  return inControl() && Boolean(room.me?.profile.can_access_clipboard);
}

/**
 * What only administrators may do.
 * @param {"POST" | "DELETE"} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function administer(method, path, body) {
  try {
    await rest(method, path, body);
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    prompts.hint(`That did not work: ${error.message}.`);
  }
}

function connect() {
  signIn.hide();
  socket.start();
  peer.prepare(); // while the server answers
}

/** Nobody looks: let go of everything but the last picture. */
function fallAsleep() {
  letGo();
  prompts.clear();
  panel.close();
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
  panel.close();
  prompts.clear();
  chat.forget();
  files.forget();
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
  } else if (chat.hear(event, payload) || files.hear(event, payload) || link.hear(event, payload)) draw();
  else if (event === "control/request") control.requested(payload.id);
  else if (pointers.hear(event, payload)) return;
  else if (broadcast.hear(event, payload) || roomSettings.hear(event, payload)) draw();
  else if (!clipboard.hear(event, payload)) drop.hear(event, payload, room.self);
}

/** @param {string | null} before our session before this connection */
function began(before) {
  situation.phase = "live";
  control.changed();
  connection.setVideos(room.videos);
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
    prompts.hint(
      matchMedia("(pointer: coarse)").matches
        ? "You are in control. Its button brings up the keyboard; two fingers scroll."
        : "You are in control. Press and release Ctrl+Alt+Shift to get your keyboard back.",
    );
  } else if (!room.inControl && hadControl) {
    letGo();
    prompts.clear(); // who asked, asks somebody else now
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
  const known = live || phase === "connecting" || phase === "reconnecting";
  panel.offer("chat", known && chat.isThere);
  panel.offer("files", known && files.isThere);
  chat.show();
  files.show();
  roomSettings.show();
  broadcast.show(Boolean(room.me?.profile.is_admin));
  pointers.tidy();
  clipboard.show();
  link.show();
  sharing.show();
  connection.show();
  lookAtGate();
  peopleButton.hidden = connectionButton.hidden = !live;
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
  gate.look(situation.phase === "live" && panel.shows("people") && Boolean(room.me?.profile.is_admin));
}

/** Whether the keyboard belongs to the shared browser right now. */
function capturing() {
  const on = inControl() && document.activeElement === field;
  document.body.classList.toggle("capturing", on);
  keysButton.setAttribute("aria-pressed", String(on));
  bar.mayHide(on || (inControl() && matchMedia("(pointer: coarse)").matches));
}

field.addEventListener("focus", capturing);
field.addEventListener("blur", capturing);
keysButton.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus until the click
keysButton.addEventListener("click", () => (document.activeElement === field ? field.blur() : field.focus()));
zoomButton.addEventListener("click", () => {
  view.showWhole();
  zoomButton.hidden = true;
});
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
