/**
 * Sizes and rates in words. Pure.
 * @module
 */

/**
 * @param {number} bytes
 * @returns {string}
 */
export function size(bytes) {
  return scaled(bytes, ["B", "kB", "MB", "GB", "TB"]);
}

/**
 * @param {number} bits per second
 * @returns {string}
 */
export function rate(bits) {
  return scaled(bits, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]);
}

/**
 * @param {number} value
 * @param {string[]} units each a thousand of the one before
 */
function scaled(value, units) {
  let step = 0;
  while (value >= 999.5 && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  return `${value < 10 && step > 0 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}
