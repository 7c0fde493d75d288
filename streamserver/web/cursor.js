/**
 * The remote cursor. In control it is the mouse's own cursor, without delay; watching, it is drawn on the picture
 * where the other one points.
 * @module
 */

/** Largest cursor browsers take, px; a larger one is drawn on the picture. */
const LARGEST = 128;

/** @typedef {import("./geometry.js").Box} Box */
/** @typedef {import("./datachannel.js").CursorImage} CursorImage */

export class Cursor {
  /** @type {HTMLElement} */ #surface;
  /** @type {HTMLImageElement} */ #image;
  /** @type {CursorImage | null} */ #shape = null;
  /** @type {string | null} object URL of the picture */ #url = null;
  /** @type {import("./types.js").Point | null} */ #position = null;
  #own = false;

  /**
   * @param {HTMLElement} surface where the mouse is
   * @param {HTMLImageElement} image drawn over the picture
   */
  constructor(surface, image) {
    this.#surface = surface;
    this.#image = image;
  }

  /** @param {CursorImage} shape */
  setShape(shape) {
    const before = this.#url;
    this.#shape = shape;
    this.#url = shape.png.length > 0 ? URL.createObjectURL(new Blob([shape.png], { type: "image/png" })) : null;
    if (this.#url !== null) this.#image.src = this.#url;
    this.#dress();
    if (before !== null) URL.revokeObjectURL(before);
  }

  /** @param {import("./types.js").Point} point px of the remote screen */
  setPosition(point) {
    this.#position = point;
  }

  /** There is no remote cursor any more. */
  forget() {
    this.#shape = null;
    this.#position = null;
    this.#image.hidden = true;
    this.#dress();
  }

  /** @param {boolean} own whether the mouse here moves it */
  setOwn(own) {
    this.#own = own;
    this.#dress();
  }

  /**
   * Draw it on the picture.
   * @param {Box} box of the picture
   * @param {import("./geometry.js").Size} screen px
   */
  place(box, screen) {
    const shape = this.#shape;
    const visible = !this.#own && shape !== null && this.#url !== null && this.#position !== null && shape.width > 0;
    this.#image.hidden = !visible;
    if (!visible || shape === null || this.#position === null) return;
    const scale = box.width / screen.width;
    const x = box.left + (this.#position.x - shape.xhot) * scale;
    const y = box.top + (this.#position.y - shape.yhot) * scale;
    this.#image.style.width = `${shape.width * scale}px`;
    this.#image.style.transform = `translate(${x}px, ${y}px)`;
  }

  #dress() {
    this.#surface.style.cursor = this.#own ? this.#css() : "";
  }

  #css() {
    const shape = this.#shape;
    if (shape === null) return "default";
    if (this.#url === null || shape.width === 0) return "none";
    if (Math.max(shape.width, shape.height) > LARGEST) return "default";
    return `url("${this.#url}") ${shape.xhot} ${shape.yhot}, default`;
  }
}
