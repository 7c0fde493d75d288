/**
 * Every state of the page in one sentence. Pure: the situation goes in, the words come out.
 * @module
 */

/**
 * @typedef {object} Situation
 * @property {"checking" | "signed-out" | "signing-in" | "connecting" | "live" | "reconnecting" | "asleep" | "ended"} phase
 * @property {"none" | "connecting" | "connected" | "interrupted"} media
 * @property {boolean} picture whether a picture has been shown
 * @property {boolean} paused the network cannot carry even the lowest quality
 * @property {number} mediaAttempt how often the picture was asked for in vain, 1 = the first time
 * @property {boolean} canWatch
 * @property {import("./types.js").BrowserState} browser what the shared browser does
 * @property {boolean} browserCrashed it crashed and is not back yet
 * @property {boolean} isPrivate the room keeps the picture from us
 * @property {boolean} inControl
 * @property {string | null} controller name of the one in control; null = nobody
 * @property {boolean} asked we asked for control and wait
 * @property {{why: string, attempt: number, since: number, next: number | null}} lost
 * @property {number} asleepSince milliseconds
 * @property {{title: string, detail: string, action: string | null}} end
 */

/**
 * @typedef {object} Status
 * @property {string} kind for the colour of the dot: "busy", "watching", "control", "other", "ended"
 * @property {string} sentence for the bar and for screen readers
 * @property {{title: string, detail: string, action: string | null, busy: boolean} | null} notice over the picture
 */

/**
 * @param {Situation} now
 * @returns {Status}
 */
export function describe(now) {
  switch (now.phase) {
    case "checking":
      return busy("Looking whether you are signed in.", "One moment", "Looking whether you are signed in.");
    case "signed-out":
      return { kind: "ended", sentence: "Signed out.", notice: null };
    case "signing-in":
      return { kind: "busy", sentence: "Signing in.", notice: null };
    case "connecting":
      return busy("Connecting.", "Connecting", "Reaching the server.");
    case "reconnecting":
      return busy(`Reconnecting: ${now.lost.why}.`, "Reconnecting", `${capital(now.lost.why)}.`);
    case "asleep":
      return asleep(new Date(now.asleepSince).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    case "ended":
      return {
        kind: "ended",
        sentence: `${now.end.title}. ${now.end.detail}`,
        notice: { ...now.end, busy: false },
      };
    case "live":
      return live(now);
  }
}

/**
 * @param {string} since a time of day
 * @returns {Status}
 */
function asleep(since) {
  const detail = `Nobody looked, so this page let go of the shared browser at ${since}; press any key or click to wake it.`;
  return { kind: "asleep", sentence: `Asleep. ${detail}`, notice: { title: "Asleep", detail, action: "Wake up", busy: false } };
}

/**
 * @param {Situation} now
 * @returns {Status}
 */
function live(now) {
  if (!now.canWatch) return told("You are connected, but may not watch.", "No picture for you", "An administrator has not allowed you to watch. Ask them to.");
  if (now.isPrivate) return told("The room is private now.", "The room is private", "An administrator keeps the picture to themselves for now. It returns by itself.");
  if (now.media === "interrupted") return busy("Reconnecting: the picture stopped.", "Reconnecting", "The picture stopped. Waiting for the network.");
  if (now.paused && now.media === "connected") {
    return busy("The picture is paused: your network cannot carry it.", "The picture is paused", "Your network cannot carry even the lowest quality now. It goes on by itself.");
  }
  if (!now.picture || now.media !== "connected") return gettingPicture(now);
  if (now.browserCrashed) return busy("The browser crashed and is starting again.", "The browser crashed", "It is starting again. Nobody did anything wrong.");
  if (now.browser === "starting" || now.browser === "waiting") return busy("The browser is starting.", "The browser is starting", "Its window shows in a moment.");
  if (now.inControl) return { kind: "control", sentence: "You are in control.", notice: null };
  if (now.asked) return { kind: "other", sentence: `You asked ${now.controller ?? "them"} for control.`, notice: null };
  if (now.controller !== null) return { kind: "other", sentence: `Watching. ${now.controller} is in control.`, notice: null };
  return { kind: "watching", sentence: "Watching. Nobody is in control.", notice: null };
}

/**
 * @param {Situation} now
 * @returns {Status}
 */
function gettingPicture(now) {
  if (now.mediaAttempt > 1) {
    return busy(
      "Connecting: the picture does not come through.",
      "The picture does not come through",
      `The server answers, but its media port cannot be reached from here. A firewall may block UDP. Trying again (try ${now.mediaAttempt}).`,
    );
  }
  return busy("Connecting: waiting for the picture.", "Connecting", "Waiting for the picture.");
}

/**
 * Which try it is and since when, for the eye alone: it changes every second.
 * @param {Situation["lost"]} lost
 * @param {number} now milliseconds
 * @returns {string}
 */
export function describeTries(lost, now) {
  const since = new Date(lost.since).toLocaleTimeString();
  const next = lost.next === null ? "now" : `in ${Math.max(1, Math.ceil((lost.next - now) / 1000))} s`;
  return `Try ${lost.attempt} ${next}, lost since ${since}.`;
}

/**
 * @param {string} sentence
 * @param {string} title
 * @param {string} detail
 * @returns {Status}
 */
function busy(sentence, title, detail) {
  return { kind: "busy", sentence, notice: { title, detail, action: null, busy: true } };
}

/**
 * @param {string} sentence
 * @param {string} title
 * @param {string} detail
 * @returns {Status}
 */
function told(sentence, title, detail) {
  return { kind: "other", sentence, notice: { title, detail, action: null, busy: false } };
}

/** @param {string} text */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
