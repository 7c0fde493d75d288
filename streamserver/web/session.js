/**
 * Signing in and out. The token never reaches a script: the server keeps it in an HttpOnly cookie. The password is
 * sent once and kept nowhere.
 * @module
 */

import { address, rest, RestError } from "./rest.js";

/** @typedef {import("./types.js").SessionData} SessionData */

/**
 * No script can see whether the cookie is there, and asking without one is an error in the console: so the page notes
 * that it signed in here. Per path, because one origin may hold several rooms.
 */
const NOTE = `catnap signed in at ${address("").pathname}`;

/**
 * Who this browser is signed in as; null when it is not.
 * @returns {Promise<SessionData | null>}
 * @throws {RestError} when the server does not answer or fails
 */
export async function whoami() {
  if (!noted()) return null;
  try {
    return await rest("GET", "api/whoami");
  } catch (error) {
    if (!(error instanceof RestError) || (error.status !== 401 && error.status !== 403)) throw error;
    note(false);
    return null;
  }
}

/**
 * @param {string} username
 * @param {string} password
 * @returns {Promise<SessionData>}
 * @throws {RestError}
 */
export async function login(username, password) {
  const session = await rest("POST", "api/login", { username, password, cookie: true });
  note(true);
  return session;
}

/** End the session on the server too; an already ended one is fine. */
export async function logout() {
  note(false);
  try {
    await rest("POST", "api/logout");
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
  }
}

/**
 * Why a sign-in failed, as one sentence that says what to do.
 * @param {unknown} error
 * @returns {string}
 */
export function explainLoginFailure(error) {
  if (!(error instanceof RestError)) return "Signing in failed. Reload the page and try again.";
  switch (error.status) {
    case 0:
      return "The server does not answer. Check your connection and try again.";
    case 400:
    case 401:
      return "The name or the password is wrong.";
    case 403:
      return "New sign-ins are locked right now. Ask an administrator to unlock them.";
    case 422:
      return "Somebody with this name is connected already. Choose another name.";
    case 429:
      return error.retryAfter === null
        ? "Too many attempts. Wait a little and try again."
        : `Too many attempts. Try again in ${Math.ceil(error.retryAfter)} s.`;
    default:
      return `The server could not sign you in (${error.status}: ${error.message}). Try again later.`;
  }
}

/** @param {boolean} signedIn */
function note(signedIn) {
  try {
    if (signedIn) localStorage.setItem(NOTE, "yes");
    else localStorage.removeItem(NOTE);
  } catch {
    // Without storage the page asks each time.
  }
}

/** Whether somebody may be signed in here. */
function noted() {
  try {
    return localStorage.getItem(NOTE) !== null;
  } catch {
    return true;
  }
}
