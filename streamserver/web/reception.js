/**
 * How well others receive the picture, as the server sees it: for administrators, in the list of people.
 * @module
 */

import { rest, RestError } from "./rest.js";
import { rate } from "./size.js";

/** Milliseconds between two looks. */
const INTERVAL = 2_000;

/**
 * What `GET /api/sessions/{id}/media` answers, as far as it is shown.
 * @typedef {object} Media
 * @property {string} video the quality
 * @property {boolean} paused nothing is sent, the network cannot carry it
 * @property {number} bitrate bit/s
 * @property {number} fraction_lost 0 to 1
 * @property {number | null} round_trip seconds
 */

export class Reception {
  /** @type {Map<string, HTMLElement>} where it is written, by session */ #places = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /**
   * Write how a session receives, now and while the place is on the page.
   * @param {string} id
   * @param {HTMLElement} place
   */
  tell(id, place) {
    place.textContent = this.#places.get(id)?.textContent || "Looking…";
    this.#places.set(id, place);
    clearTimeout(this.#timer);
    void this.#look();
  }

  /** @param {string} id */
  leave(id) {
    this.#places.delete(id);
  }

  async #look() {
    for (const [id, place] of this.#places) if (!place.isConnected) this.#places.delete(id);
    if (!document.hidden) await Promise.all([...this.#places].map(([id, place]) => this.#ask(id, place)));
    clearTimeout(this.#timer);
    if (this.#places.size > 0) this.#timer = setTimeout(() => void this.#look(), INTERVAL);
  }

  /**
   * @param {string} id
   * @param {HTMLElement} place
   */
  async #ask(id, place) {
    try {
      place.textContent = describe(await rest("GET", `api/sessions/${encodeURIComponent(id)}/media`));
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      place.textContent = error.status === 404 ? "No picture is sent." : `Not known: ${error.message}.`;
    }
  }
}

/**
 * Figures in words. Pure.
 * @param {Media} media
 * @returns {string}
 */
export function describe(media) {
  if (media.paused) return `Picture ${media.video}: paused, the network cannot carry it.`;
  const facts = [rate(media.bitrate), `${(media.fraction_lost * 100).toFixed(1)} % lost`];
  if (media.round_trip !== null) facts.push(`${Math.round(media.round_trip * 1000)} ms there and back`);
  return `Picture ${media.video}: ${facts.join(", ")}`;
}
