/**
 * Falling asleep when nobody looks, and waking at the first gesture. The server asks to be told whether the page is
 * hidden, and says when that has lasted long enough; then the page lets go of every connection, so that the machine
 * may sleep, and nothing but a person in front of it connects again.
 * @module
 */

/** Keys that are pressed on the way to another window, or for another key. */
const MODIFIERS = new Set(["Shift", "Control", "Alt", "AltGraph", "Meta", "CapsLock", "NumLock", "Fn"]);
/** What wakes. A click alone comes from the keyboard and from screen readers. */
const GESTURES = ["pointerdown", "keydown", "wheel", "click"];

/**
 * @typedef {object} DozeOptions
 * @property {import("./types.js").Send} send
 * @property {() => boolean} connected whether there is a connection to let go of
 * @property {() => void} sleep let go of every connection
 * @property {() => void} wake connect again
 */

export class Doze {
  /** @type {DozeOptions} */ #options;
  /** Seconds of `scaletozero/report`; null = this server does not want to know. */
  /** @type {number | null} */ #idleAfter = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #asleep = false;

  /** @param {DozeOptions} options */
  constructor(options) {
    this.#options = options;
    document.addEventListener("visibilitychange", () => this.#report());
    for (const name of GESTURES) {
      addEventListener(name, (event) => this.#gesture(event), { capture: true, passive: false });
    }
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was for us
   */
  hear(event, payload) {
    if (event === "scaletozero/report") {
      this.#idleAfter = Number(payload?.idle_after) || null;
      this.#report();
      return true;
    }
    if (event !== "scaletozero/idle") return false;
    // Seen again while the message was on its way: say so in place of obeying.
    if (document.hidden) this.#sleep();
    else this.#report();
    return true;
  }

  /**
   * The connection broke. Nobody can tell a page without one to sleep, but its picture may still arrive: so a hidden
   * page does it by itself when its time is over.
   */
  lost() {
    clearTimeout(this.#timer);
    if (this.#idleAfter === null || !document.hidden) return;
    this.#timer = setTimeout(() => document.hidden && !this.#options.connected() && this.#sleep(), this.#idleAfter * 1000);
  }

  /** Signed out, or ended by the server: there is nothing to wake. */
  forget() {
    clearTimeout(this.#timer);
    this.#idleAfter = null;
    this.#asleep = false;
  }

  #report() {
    if (this.#idleAfter !== null && !this.#asleep) this.#options.send("scaletozero/visibility", { hidden: document.hidden });
  }

  #sleep() {
    clearTimeout(this.#timer);
    this.#asleep = true;
    this.#options.sleep();
  }

  /** @param {Event} event */
  #gesture(event) {
    if (!this.#asleep || !event.isTrusted) return;
    if (event instanceof KeyboardEvent && MODIFIERS.has(event.key)) return;
    // It was meant for the sleeping page: nobody else hears of it.
    event.preventDefault();
    event.stopImmediatePropagation();
    this.#asleep = false;
    this.#options.wake();
  }
}
