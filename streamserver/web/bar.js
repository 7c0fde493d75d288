/**
 * The slim bar: it stays while one watches, goes away while one is in control, and returns at the top edge, by its
 * handle, or when something in it has the focus.
 * @module
 */

import { element } from "./element.js";

/** Milliseconds the bar stays after the pointer left it. */
const LINGER = 1_200;
/** Height of the zone at the top edge that brings the bar back, CSS px, and milliseconds to rest in it. */
const EDGE = 2;
const EDGE_REST = 250;

export class Bar {
  #bar = element("bar", HTMLElement);
  #handle = element("handle", HTMLButtonElement);
  #sentence = element("bar-sentence", HTMLElement);
  #status = element("bar-status", HTMLElement);
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #mayHide = false;

  constructor() {
    this.#handle.addEventListener("click", () => this.#reveal());
    this.#bar.addEventListener("pointerenter", () => this.#reveal());
    this.#bar.addEventListener("pointerleave", () => this.#hideSoon());
    this.#bar.addEventListener("focusin", () => this.#reveal());
    this.#bar.addEventListener("focusout", () => this.#hideSoon());
    addEventListener("pointermove", (event) => this.#edge(event), { passive: true });
  }

  /**
   * @param {string} kind
   * @param {string} sentence
   */
  say(kind, sentence) {
    this.#bar.dataset.kind = kind;
    this.#sentence.textContent = sentence;
    this.#status.title = sentence;
  }

  /** @param {boolean} may whether the bar goes away when it is not used */
  mayHide(may) {
    if (may === this.#mayHide) return;
    this.#mayHide = may;
    if (may) this.#hideSoon();
    else this.#reveal();
  }

  #reveal() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#bar.classList.remove("away");
    this.#handle.hidden = true;
    // Shown by the handle with a finger, nothing will leave it: it goes by itself.
    if (!this.#bar.matches(":hover, :focus-within")) this.#hideSoon(3 * LINGER);
  }

  /** @param {number} [delay] milliseconds */
  #hideSoon(delay = LINGER) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#mayHide || this.#bar.matches(":hover, :focus-within")) return;
      this.#bar.classList.add("away");
      this.#handle.hidden = false;
    }, delay);
  }

  /** @param {PointerEvent} event */
  #edge(event) {
    if (!this.#bar.classList.contains("away")) return;
    if (event.clientY > EDGE || event.buttons !== 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else this.#timer ??= setTimeout(() => this.#reveal(), EDGE_REST);
  }
}
