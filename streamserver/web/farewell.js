/**
 * What each `system/disconnect` reason of the server means for the page: try again, stop with a sentence and a way
 * on, or show the sign-in form.
 * @module
 */

/**
 * @typedef {object} Farewell
 * @property {"retry" | "ended" | "signed-out"} then what the page does now
 * @property {string} title
 * @property {string} detail why, and what to do
 * @property {string | null} action label of the button that connects again; null = none
 */

/** @type {Record<string, Farewell>} */
const FAREWELLS = {
  "no authentication provided": signedOut("Sign in to go on."),
  "session not found": signedOut("Your session is over. Sign in again."),
  "session deleted": signedOut("You were signed out. Sign in again to come back."),
  "session login disabled": ended("You may not sign in", "An administrator disabled sign-in for you. Ask them to allow it again."),
  "connection disabled": ended("You may not connect", "An administrator disabled connecting for you. Ask them to allow it again."),
  "already connected": ended("Already open elsewhere", "This session is open in another window. Close it there, then try here.", "Try again"),
  "connection replaced": ended("Opened elsewhere", "You opened this page in another window or device, and it took over from here.", "Use it here"),
  "session disconnected": ended("You were disconnected", "An administrator closed your connection.", "Connect again"),
  "profile changed": ended("What you may do has changed", "An administrator changed your permissions, and the connection was closed.", "Connect again"),
  "connection shutdown": { then: "retry", title: "", detail: "the server is restarting", action: null },
};

/**
 * @param {string} message of system/disconnect
 * @returns {Farewell} an unknown reason is tried again, in the server's words
 */
export function farewell(message) {
  return Object.hasOwn(FAREWELLS, message)
    ? FAREWELLS[message]
    : { then: "retry", title: "", detail: `the server said “${message}”`, action: null };
}

/**
 * @param {string} detail
 * @returns {Farewell}
 */
function signedOut(detail) {
  return { then: "signed-out", title: "Signed out", detail, action: null };
}

/**
 * @param {string} title
 * @param {string} detail
 * @param {string | null} action
 * @returns {Farewell}
 */
function ended(title, detail, action = null) {
  return { then: "ended", title, detail, action };
}
