/**
 * Full screen, with the Keyboard Lock where the browser has it: then Escape, Ctrl+W and their like reach the shared
 * browser too (holding Escape leaves).
 * @module
 */

import { element } from "./element.js";

/** @typedef {Navigator & {keyboard?: {lock?: () => Promise<void>, unlock?: () => void}}} WithKeyboard */

export class FullScreen {
  #button = element("fullscreen", HTMLButtonElement);

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#button.addEventListener("click", () => void this.toggle());
    document.addEventListener("fullscreenchange", () => {
      const on = document.fullscreenElement !== null;
      this.#button.setAttribute("aria-pressed", String(on));
      const keyboard = /** @type {WithKeyboard} */ (navigator).keyboard;
      if (on) keyboard?.lock?.().catch(() => undefined);
      else keyboard?.unlock?.();
      onChange();
    });
  }

  /** @param {boolean} available */
  show(available) {
    this.#button.hidden = !available || !document.fullscreenEnabled;
  }

  async toggle() {
    // A refusal (a frame without permission) leaves everything as it is.
    if (document.fullscreenElement !== null) await document.exitFullscreen().catch(() => undefined);
    else await document.documentElement.requestFullscreen({ navigationUI: "hide" }).catch(() => undefined);
  }
}
