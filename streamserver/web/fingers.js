/**
 * What fingers on the picture mean. One is the mouse; a second one makes it a gesture: together they scroll, apart and
 * closer they enlarge the picture. Pure but for what it keeps: times and points go in, what to do comes out.
 * @module
 */

/** @typedef {{x: number, y: number}} Place CSS px */
/** @typedef {{center: Place, distance: number}} Pair */

/** CSS px that a finger may tremble before it drags; two may move before it is decided what they do. */
const TREMBLE = 8;
const DECIDE = 14;
/** CSS px: each of two fingers is told apart from the other, so both must have moved, or one of them far. */
const MOVED = 3;
const FAR = 40;
/** CSS px of two fingers that make one notch of a wheel. */
const PIXELS_PER_NOTCH = 36;

/**
 * @typedef {object} FingersOptions
 * @property {(at: Place) => void} press the mouse goes down
 * @property {(at: Place) => void} move
 * @property {(at: Place) => void} lift
 * @property {(dx: number, dy: number, at: Place) => void} scroll whole notches, positive = left and up
 * @property {(factor: number, from: Place, to: Place, first: boolean) => void} pinch enlarge, with the point `from` ending at
 *   `to`: all of it since the gesture's `first` call, so that what is out of bounds on the way is forgotten
 * @property {() => boolean} enlarged whether the picture is larger than its place: then two fingers move it
 */

export class Fingers {
  /** @type {FingersOptions} */ #options;
  /** @type {Map<number, Place>} */ #down = new Map();
  /** What the fingers do: nothing yet, the mouse is down, two wait, scroll, pinch, or wait until all are gone. */
  /** @type {"none" | "waiting" | "mouse" | "pair" | "scroll" | "pinch" | "over"} */ #doing = "none";
  /** @type {Place} */ #began = { x: 0, y: 0 };
  /** @type {Place} where the one finger was last */ #last = { x: 0, y: 0 };
  /** @type {Pair} */ #pair = { center: { x: 0, y: 0 }, distance: 1 };
  /** @type {Map<number, Place>} where the two were when the second one came */ #starts = new Map();
  #first = false;
  #x = 0;
  #y = 0;

  /** @param {FingersOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** @param {number} finger @param {Place} at */
  down(finger, at) {
    this.#down.set(finger, at);
    if (this.#down.size === 1) {
      this.#doing = "waiting";
      this.#began = this.#last = at;
    } else if (this.#down.size === 2 && this.#doing !== "over") {
      if (this.#doing === "mouse") this.#options.lift(this.#last);
      this.#doing = "pair";
      this.#pair = this.#measure();
      this.#starts = new Map(this.#down);
      this.#x = this.#y = 0;
    } else this.#doing = "over";
  }

  /** Nothing else came for a moment: the finger is a mouse that is pressed. */
  rest() {
    if (this.#doing === "waiting") this.#press();
  }

  /** @param {number} finger @param {Place} at */
  moved(finger, at) {
    if (!this.#down.has(finger)) return;
    this.#down.set(finger, at);
    switch (this.#doing) {
      case "waiting":
        if (far(at, this.#began, TREMBLE)) {
          this.#press();
          this.#last = at;
          this.#options.move(at);
        }
        break;
      case "mouse":
        this.#last = at;
        this.#options.move(at);
        break;
      case "pair":
        this.#decide();
        break;
      case "scroll":
        this.#scroll();
        break;
      case "pinch":
        this.#pinch();
        break;
      default:
    }
  }

  /** @param {number} finger @param {Place} at */
  up(finger, at) {
    if (!this.#down.delete(finger)) return;
    if (this.#doing === "waiting") this.#press();
    if (this.#doing === "mouse") this.#options.lift(at);
    this.#doing = this.#down.size === 0 ? "none" : "over";
  }

  /** The system took the fingers away. */
  cancel() {
    if (this.#doing === "mouse") this.#options.lift(this.#last);
    this.#down.clear();
    this.#doing = "none";
  }

  #press() {
    this.#doing = "mouse";
    this.#options.press(this.#began);
  }

  #decide() {
    const ways = [...this.#down].map(([finger, at]) => distance(at, this.#starts.get(finger) ?? at));
    if (Math.min(...ways) < MOVED && Math.max(...ways) < FAR) return;
    const now = this.#measure();
    if (Math.abs(now.distance - this.#pair.distance) > DECIDE) this.#doing = "pinch";
    else if (far(now.center, this.#pair.center, DECIDE)) this.#doing = this.#options.enlarged() ? "pinch" : "scroll";
    else return;
    // Enlarging is counted from where both were put down, since one may have moved before the other.
    if (this.#doing === "scroll") this.#pair = now;
    this.#first = true;
  }

  #scroll() {
    const now = this.#measure();
    // The page goes with the fingers: down with them is up with the wheel.
    this.#x += (now.center.x - this.#pair.center.x) / PIXELS_PER_NOTCH;
    this.#y += (now.center.y - this.#pair.center.y) / PIXELS_PER_NOTCH;
    this.#pair = now;
    const dx = Math.trunc(this.#x);
    const dy = Math.trunc(this.#y);
    if (dx === 0 && dy === 0) return;
    this.#x -= dx;
    this.#y -= dy;
    this.#options.scroll(dx, dy, now.center);
  }

  #pinch() {
    const now = this.#measure();
    this.#options.pinch(now.distance / this.#pair.distance, this.#pair.center, now.center, this.#first);
    this.#first = false;
  }

  /** @returns {Pair} */
  #measure() {
    const [one, two] = [...this.#down.values()];
    if (one === undefined || two === undefined) return this.#pair;
    return {
      center: { x: (one.x + two.x) / 2, y: (one.y + two.y) / 2 },
      distance: Math.max(1, distance(one, two)),
    };
  }
}

/**
 * @param {Place} one
 * @param {Place} other
 * @param {number} limit
 */
function far(one, other, limit) {
  return distance(one, other) > limit;
}

/**
 * @param {Place} one
 * @param {Place} other
 */
function distance(one, other) {
  return Math.hypot(one.x - other.x, one.y - other.y);
}
