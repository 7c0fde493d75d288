/**
 * Where the others point who are not in control, in rooms that show it: a small arrow with the name.
 * @module
 */

import { element } from "./element.js";

/** @typedef {import("./types.js").Point} Point */

/**
 * @typedef {object} PointersOptions
 * @property {import("./room.js").Room} room
 * @property {(point: Point) => {x: number, y: number}} place CSS px of the surface where a pixel of the remote screen is
 */

export class Pointers {
  /** @type {PointersOptions} */ #options;
  #layer = element("pointers", HTMLElement);
  /** @type {Map<string, HTMLElement>} */ #shown = new Map();

  /** @param {PointersOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was for us
   */
  hear(event, payload) {
    if (event !== "session/cursors") return false;
    const moved = new Map();
    for (const { id, cursors } of payload ?? []) if (cursors?.length > 0) moved.set(id, cursors.at(-1));
    // An empty list says that all rest: they stay where they are until they move again or leave.
    for (const [id, point] of moved) this.#show(id, point);
    this.tidy();
    return true;
  }

  /** Take away the pointers of those who left or are in control, and all where the room does not show them. */
  tidy() {
    const { room } = this.#options;
    for (const [id, part] of this.#shown) {
      const there = room.settings?.inactive_cursors && room.sessions.get(id)?.state.is_connected && room.controller !== id;
      if (there) continue;
      part.remove();
      this.#shown.delete(id);
    }
  }

  /**
   * @param {string} id
   * @param {Point} point
   */
  #show(id, point) {
    const { room, place } = this.#options;
    if (id === room.self) return;
    let part = this.#shown.get(id);
    if (part === undefined) {
      part = document.createElement("div");
      part.className = "pointer";
      this.#shown.set(id, part);
      this.#layer.append(part);
    }
    part.textContent = room.name(id);
    const { x, y } = place(point);
    part.style.transform = `translate(${x}px, ${y}px)`;
  }
}
