/**
 * The pointer over the picture: mouse, pen, and fingers. Nothing stays pressed when the pointer is taken away (another
 * window, a cancelled touch).
 * @module
 */

import { Fingers } from "./fingers.js";
import { NotchCounter } from "./wheel.js";

/** X buttons by MouseEvent.button: left, middle, right, back, forward. */
const BUTTONS = [1, 2, 3, 8, 9];
/** Milliseconds between two renewals of a held button; the server releases what nobody renewed for 10 s. */
const RENEWAL = 3_000;
/** Milliseconds within which a second finger may come before the first one is a mouse that is pressed. */
const SECOND_FINGER = 120;

/** @typedef {import("./types.js").Point} Point */

/**
 * @typedef {object} PointerOptions
 * @property {HTMLElement} surface
 * @property {(event: {clientX: number, clientY: number}) => Point} locate the pixel of the remote screen under the pointer
 * @property {() => boolean} active whether input goes to the shared browser
 * @property {() => boolean} pointing whether movements are sent although not in control (the others see the cursor)
 * @property {() => boolean} controlDown whether a Ctrl key was sent as pressed
 * @property {(point: Point) => void} move
 * @property {(button: number) => void} buttonDown
 * @property {(button: number) => void} buttonUp
 * @property {(dx: number, dy: number, controlKey: boolean) => void} scroll
 * @property {(factor: number, from: Point, to: Point, first: boolean) => void} pinch two fingers enlarge the picture, by so much
 *   since the first call of the gesture; CSS px
 * @property {() => boolean} enlarged whether it is larger than its place
 * @property {(byTouch: boolean) => void} pressed the person pressed on the picture, in control or not
 */

export class Pointer {
  /** @type {PointerOptions} */ #options;
  /** @type {Set<number>} */ #down = new Set();
  /** @type {Point | null} */ #last = null;
  #notches = new NotchCounter();
  /** @type {ReturnType<typeof setInterval> | undefined} */ #renewal;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #resting;
  #fingers = new Fingers({
    press: (at) => this.#begin(0, place(at), true),
    move: (at) => this.#options.active() && this.#moveTo(place(at)),
    lift: (at) => this.#end(0, place(at)),
    scroll: (dx, dy, at) => {
      if (!this.#options.active()) return;
      this.#moveTo(place(at));
      this.#options.scroll(dx, dy, false);
    },
    pinch: (factor, from, to, first) => this.#options.pinch(factor, from, to, first),
    enlarged: () => this.#options.enlarged(),
  });

  /** @param {PointerOptions} options */
  constructor(options) {
    this.#options = options;
    const { surface } = options;
    surface.addEventListener("pointermove", (event) => this.#moved(event));
    surface.addEventListener("pointerdown", (event) => this.#press(event));
    surface.addEventListener("pointerup", (event) => this.#lift(event));
    surface.addEventListener("pointercancel", () => this.releaseAll());
    surface.addEventListener("lostpointercapture", (event) => event.pointerType === "touch" || this.releaseAll());
    surface.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    for (const name of ["contextmenu", "auxclick", "dragstart", "mousedown"]) {
      surface.addEventListener(name, (event) => event.preventDefault());
    }
    addEventListener("blur", () => this.releaseAll());
    document.addEventListener("visibilitychange", () => document.hidden && this.releaseAll());
  }

  /** Release every button that is down at the other end. */
  releaseAll() {
    clearInterval(this.#renewal);
    clearTimeout(this.#resting);
    this.#fingers.cancel();
    for (const button of this.#down) this.#options.buttonUp(button);
    this.#down.clear();
  }

  /** Forget where the pointer was: the other end does not know. */
  forget() {
    this.#last = null;
  }

  /** @param {PointerEvent} event */
  #moved(event) {
    if (event.pointerType === "touch") return this.#fingers.moved(event.pointerId, spot(event));
    if (!event.isPrimary || !(this.#options.active() || this.#options.pointing())) return;
    // Further buttons of a mouse that already holds one come as movements (Pointer Events, chorded buttons).
    if (event.button !== -1) event.buttons & bit(event.button) ? this.#press(event) : this.#lift(event);
    else this.#moveTo(event);
  }

  /** @param {{clientX: number, clientY: number}} event */
  #moveTo(event) {
    const point = this.#options.locate(event);
    if (point.x === this.#last?.x && point.y === this.#last.y) return;
    this.#last = point;
    this.#options.move(point);
  }

  /** @param {PointerEvent} event */
  #press(event) {
    event.preventDefault();
    if (event.pointerType === "touch") {
      clearTimeout(this.#resting);
      this.#fingers.down(event.pointerId, spot(event));
      this.#resting = setTimeout(() => this.#fingers.rest(), SECOND_FINGER);
    } else if (event.isPrimary && this.#begin(event.button, event, false)) capture(this.#options.surface, event.pointerId);
  }

  /**
   * A button goes down.
   * @param {number} which MouseEvent.button
   * @param {{clientX: number, clientY: number}} event
   * @param {boolean} byTouch
   * @returns {boolean} whether it was input
   */
  #begin(which, event, byTouch) {
    const wasActive = this.#options.active();
    this.#options.pressed(byTouch);
    const button = BUTTONS[which];
    // The press that takes control is not input as well: it was meant for us.
    if (!wasActive || button === undefined) return false;
    this.#moveTo(event);
    this.#down.add(button);
    this.#options.buttonDown(button);
    clearInterval(this.#renewal);
    this.#renewal = setInterval(() => this.#down.forEach((held) => this.#options.buttonDown(held)), RENEWAL);
    return true;
  }

  /** @param {PointerEvent} event */
  #lift(event) {
    if (event.pointerType === "touch") {
      clearTimeout(this.#resting);
      this.#fingers.up(event.pointerId, spot(event));
    } else this.#end(event.button, event);
  }

  /**
   * @param {number} which MouseEvent.button
   * @param {{clientX: number, clientY: number}} event
   */
  #end(which, event) {
    const button = BUTTONS[which];
    if (button === undefined) return;
    if (!this.#down.delete(button)) return;
    if (this.#down.size === 0) clearInterval(this.#renewal);
    this.#moveTo(event);
    this.#options.buttonUp(button);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    if (!this.#options.active()) return;
    const { dx, dy } = this.#notches.count(event);
    if (dx === 0 && dy === 0) return;
    this.#moveTo(event);
    // A pinch on a trackpad comes as a wheel with Ctrl that no key pressed.
    this.#options.scroll(dx, dy, event.ctrlKey && !this.#options.controlDown());
  }
}

/** @param {PointerEvent} event */
function spot({ clientX, clientY }) {
  return { x: clientX, y: clientY };
}

/** @param {import("./fingers.js").Place} at */
function place({ x, y }) {
  return { clientX: x, clientY: y };
}

/** @param {number} button MouseEvent.button */
function bit(button) {
  return [1, 4, 2, 8, 16][button] ?? 0;
}

/**
 * @param {HTMLElement} surface
 * @param {number} pointerId
 */
function capture(surface, pointerId) {
  try {
    surface.setPointerCapture(pointerId);
  } catch {
    // The pointer is gone already (a very short touch): its release has been or will be told by itself.
  }
}
