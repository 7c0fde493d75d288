/**
 * From wheel events to whole notches, which is all the remote pointer knows: what is less than a notch is kept until
 * it adds up. Pure but for what it keeps.
 * @module
 */

/** CSS px of finger movement on a trackpad that make one notch. */
const PIXELS_PER_NOTCH = 60;
/** Lines that make one notch, where the browser counts lines. */
const LINES_PER_NOTCH = 3;
/** `wheelDelta` of one notch of a wheel that clicks; every browser reports multiples of it for such wheels. */
const CLICK = 120;
/** `wheelDelta` of one px of a trackpad, in every browser. */
const TRACKPAD = -3;
/** Most notches of one event; a free-spinning wheel must not bury the remote in scrolling. */
const MOST_NOTCHES = 20;
/** Milliseconds of rest after which what was kept is forgotten. */
const REST = 400;

/** @typedef {Pick<WheelEvent, "deltaX" | "deltaY" | "deltaMode" | "timeStamp"> & {wheelDeltaX?: number, wheelDeltaY?: number}} Wheel */

export class NotchCounter {
  #x = 0;
  #y = 0;
  #last = -Infinity;

  /**
   * @param {Wheel} event
   * @returns {{dx: number, dy: number}} whole notches, positive = left and up, as the remote counts
   */
  count(event) {
    if (event.timeStamp - this.#last > REST) this.#x = this.#y = 0;
    this.#last = event.timeStamp;
    this.#x = add(this.#x, notches(event.deltaX, event.wheelDeltaX, event.deltaMode));
    this.#y = add(this.#y, notches(event.deltaY, event.wheelDeltaY, event.deltaMode));
    const dx = whole(this.#x);
    const dy = whole(this.#y);
    this.#x -= dx;
    this.#y -= dy;
    return { dx, dy };
  }
}

/**
 * @param {number} delta positive = right or down
 * @param {number | undefined} wheelDelta positive = left or up
 * @param {number} mode WheelEvent.DOM_DELTA_*
 */
function notches(delta, wheelDelta, mode) {
  if (mode === 1) return -delta / LINES_PER_NOTCH;
  if (mode === 2) return -delta * 10;
  const clicks = wheelDelta && wheelDelta % CLICK === 0 && Math.abs(wheelDelta - TRACKPAD * delta) > 1;
  if (clicks) return wheelDelta / CLICK;
  return -delta / PIXELS_PER_NOTCH;
}

/**
 * A turn the other way starts anew, so that it is felt at once.
 * @param {number} kept
 * @param {number} more
 */
function add(kept, more) {
  return Math.sign(kept) * Math.sign(more) < 0 ? more : kept + more;
}

/** @param {number} value */
function whole(value) {
  // Rounding noise of thirds must not eat a notch: 3 × ⅓ is one.
  const count = Math.trunc(value + Math.sign(value) * 1e-9);
  return Math.min(MOST_NOTCHES, Math.max(-MOST_NOTCHES, count)) + 0;
}
