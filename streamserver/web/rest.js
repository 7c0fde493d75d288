/**
 * Requests to the server's REST interface. Addresses are relative to this file, so that the page works under any
 * path prefix; the session travels in an HttpOnly cookie that no script can read.
 * @module
 */

/** Milliseconds until a request without an answer is given up. */
const REQUEST_TIMEOUT = 15_000;

/**
 * The address of something the server has, given relative to the page.
 * @param {string} path without a leading slash
 * @returns {URL}
 */
export function address(path) {
  return new URL(path, import.meta.url);
}

// The types of browsers that the check knows are older than this function.
const Deadline = /** @type {typeof AbortSignal & {timeout: (milliseconds: number) => AbortSignal}} */ (AbortSignal);

/** The server refused a request, or did not answer it (status 0). */
export class RestError extends Error {
  /**
   * @param {number} status HTTP status, 0 = no answer
   * @param {string} message the server's own words, or ours when it gave none
   * @param {number | null} retryAfter seconds, from the Retry-After header
   */
  constructor(status, message, retryAfter = null) {
    super(message);
    this.name = "RestError";
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * Send one request and return its JSON answer (undefined when the answer is empty).
 * @param {"GET" | "POST" | "DELETE"} method
 * @param {string} path relative to the page, e.g. "api/whoami"
 * @param {unknown} [body] sent as JSON
 * @returns {Promise<any>}
 * @throws {RestError}
 */
export async function rest(method, path, body) {
  let response;
  try {
    response = await fetch(address(path), {
      method,
      credentials: "same-origin",
      cache: "no-store",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
      signal: Deadline.timeout(REQUEST_TIMEOUT),
    });
  } catch {
    throw new RestError(0, "the server does not answer");
  }
  const text = await response.text().catch(() => "");
  const answer = parse(text);
  if (response.ok) return answer;
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  throw new RestError(response.status, messageOf(answer) ?? response.statusText, Number.isFinite(seconds) ? seconds : null);
}

/** @param {string} text */
function parse(text) {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @param {any} answer */
function messageOf(answer) {
  return typeof answer?.message === "string" ? answer.message : null;
}
