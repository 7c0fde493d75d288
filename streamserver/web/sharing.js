/**
 * One's own microphone and camera, for pages of the shared browser: one switch each, where the server takes them and one has
 * the right to share. The browser asks the person first; it lets pages have them over HTTPS (or this machine's own address) alone.
 * @module
 */

import { element } from "./element.js";

/** @typedef {"audio" | "video"} Kind */

/** What is asked of the browser. */
const WANTED = { audio: { audio: true }, video: { video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { max: 30 } } } };
const NAMES = { audio: "microphone", video: "camera" };

/**
 * @typedef {object} SharingOptions
 * @property {import("./prompts.js").Prompts} prompts
 * @property {(kind: Kind) => boolean} allowed whether the server takes this from us now
 * @property {(kind: Kind, track: MediaStreamTrack | null) => void} share null = no more
 * @property {(kind: Kind) => boolean} shares whether it is shared
 */

export class Sharing {
  /** @type {SharingOptions} */ #options;
  #section = element("sharing", HTMLElement);
  #note = element("sharing-note", HTMLElement);
  #boxes = { audio: element("share-audio", HTMLInputElement), video: element("share-video", HTMLInputElement) };
  /** @type {Set<Kind>} the browser asks the person */ #asking = new Set();

  /** @param {SharingOptions} options */
  constructor(options) {
    this.#options = options;
    for (const kind of kinds()) this.#boxes[kind].addEventListener("change", () => void this.#turn(kind, this.#boxes[kind].checked));
  }

  show() {
    const { allowed, shares } = this.#options;
    const possible = navigator.mediaDevices !== undefined;
    for (const kind of kinds()) {
      const box = this.#boxes[kind];
      const label = box.closest("label");
      if (label !== null) label.hidden = !allowed(kind);
      box.checked = shares(kind) || this.#asking.has(kind);
      box.disabled = !possible || this.#asking.has(kind);
    }
    this.#section.hidden = !kinds().some(allowed);
    this.#note.textContent = possible
      ? "Pages in the shared browser hear and see you; only one person at a time."
      : "Your browser lets pages use microphone and camera over HTTPS alone.";
  }

  /**
   * @param {Kind} kind
   * @param {boolean} on
   */
  async #turn(kind, on) {
    const { share, prompts, allowed } = this.#options;
    if (!on) return share(kind, null);
    this.#asking.add(kind);
    this.show();
    try {
      const stream = await navigator.mediaDevices.getUserMedia(WANTED[kind]);
      const [track] = stream.getTracks();
      if (allowed(kind)) share(kind, track);
      else track.stop();
    } catch (error) {
      const denied = error instanceof DOMException && error.name === "NotAllowedError";
      prompts.hint(denied ? `Your browser does not give the ${NAMES[kind]} away. Allow it for this page.` : `There is no ${NAMES[kind]} to share.`);
    } finally {
      this.#asking.delete(kind);
      this.show();
    }
  }
}

/** @returns {Kind[]} */
function kinds() {
  return ["audio", "video"];
}
