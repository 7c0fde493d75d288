/**
 * What the server says about why its machine is awake, in words.
 * @module
 */

/** @typedef {import("./types.js").Evidence} Evidence */
/** @typedef {import("./types.js").HoldEvidence} HoldEvidence */

/**
 * @param {number} seconds
 * @returns {string}
 */
export function duration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/**
 * @param {HoldEvidence} hold
 * @returns {{what: string, since: string}}
 */
export function describeHold(hold) {
  const since = `for ${duration(hold.age_seconds)}`;
  const ends = hold.seconds_left === null ? "" : `, ends in ${duration(hold.seconds_left)}`;
  return { what: nameOf(hold), since: since + ends };
}

/** @param {HoldEvidence} hold */
function nameOf({ kind, id, label }) {
  switch (kind) {
    case "session":
      return `${label || id} is connected`;
    case "request":
      return `Answering ${label || id}`;
    case "pin":
      return label ? `Pinned by ${label}` : "Pinned";
    default:
      return label ? `Lease ${id}: ${label}` : `Lease ${id}`;
  }
}

/**
 * What is to be known about the control file: trouble first, then the last write.
 * @param {Evidence} evidence
 * @param {string} [locale] of the time of day; the browser's by default
 * @returns {string}
 */
export function describeFile(evidence, locale) {
  const trouble = evidence.last_error;
  if (trouble !== null) {
    const again = trouble.retry_in_seconds === null ? "Trying again now." : `Tried again in ${duration(trouble.retry_in_seconds)}.`;
    return `${trouble.message}. ${again}`;
  }
  const last = evidence.last_write;
  if (last === null) return "Nothing written yet.";
  const at = new Date(last.at).toLocaleTimeString(locale);
  return last.result === "absent" ? `No control file at ${at}.` : `Last write: ${last.command} at ${at}.`;
}
