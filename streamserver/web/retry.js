/**
 * When to try again: exponential back-off with jitter, so that many pages do not return in one moment.
 * @module
 */

/** Milliseconds before the first try after a loss, and the most between two tries. */
export const FIRST_DELAY = 500;
export const LONGEST_DELAY = 15_000;

/**
 * Milliseconds to wait before try number `attempt`.
 * @param {number} attempt 1 = the first try after the loss
 * @param {number} random in [0, 1)
 * @returns {number} between half and the whole of the doubled delay
 */
export function retryDelay(attempt, random) {
  const whole = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (Math.max(1, attempt) - 1));
  return Math.round(whole / 2 + (whole / 2) * random);
}
