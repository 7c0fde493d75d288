/**
 * Sound on and off, and how loud. It starts muted, because browsers allow no other start; one button turns it on.
 * @module
 */

import { element } from "./element.js";

export class Sound {
  #video = element("video", HTMLVideoElement);
  #button = element("sound", HTMLButtonElement);
  #label = element("sound-label", HTMLElement);
  #volume = element("volume", HTMLInputElement);

  constructor() {
    this.#button.addEventListener("click", () => this.#toggle());
    this.#volume.addEventListener("input", () => this.#setVolume());
    this.#video.addEventListener("volumechange", () => this.#draw());
    this.#draw();
  }

  /** @param {boolean} available whether the stream has sound */
  show(available) {
    this.#button.hidden = !available;
    this.#draw();
  }

  #toggle() {
    this.#video.muted = !this.#video.muted;
    if (!this.#video.muted && this.#video.volume === 0) this.#video.volume = 1;
    void this.#video.play().catch(() => undefined);
  }

  #setVolume() {
    this.#video.volume = Number(this.#volume.value);
    this.#video.muted = this.#video.volume === 0;
  }

  #draw() {
    const on = !this.#video.muted;
    this.#button.setAttribute("aria-pressed", String(on));
    this.#label.textContent = on ? "Turn sound off" : "Turn sound on";
    this.#label.classList.toggle("unseen", on);
    this.#button.title = this.#label.textContent;
    this.#volume.hidden = !on || this.#button.hidden;
    this.#volume.value = String(this.#video.volume);
  }
}
