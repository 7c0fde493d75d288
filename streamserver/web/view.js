/**
 * The picture: as large as the stage allows, its aspect kept, sharp at 1:1, with the remote cursor on it.
 * @module
 */

import { Cursor } from "./cursor.js";
import { enlarge, fit, pinched, toScreen, WHOLE } from "./geometry.js";

/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").ScreenSize} ScreenSize */

/**
 * @typedef {object} ViewOptions
 * @property {HTMLElement} stage
 * @property {HTMLElement} surface
 * @property {HTMLVideoElement} video
 * @property {HTMLCanvasElement} still the last picture, while there is no other
 * @property {HTMLImageElement} cursor
 * @property {HTMLElement} bar
 * @property {() => void} onPicture the first picture of a stream is shown
 */

export class View {
  /** @type {ViewOptions} */ #options;
  /** @type {ScreenSize} */ #screen = { width: 1280, height: 720, rate: 30 };
  /** @type {import("./geometry.js").Box} */ #box = { left: 0, top: 0, width: 1, height: 1 };
  /** @type {import("./geometry.js").Zoom} */ #zoom = WHOLE;
  /** @type {import("./geometry.js").Zoom} when the gesture began that changes it */ #zoomBefore = WHOLE;
  /** @type {Cursor} */ cursor;

  /** @param {ViewOptions} options */
  constructor(options) {
    this.#options = options;
    this.cursor = new Cursor(options.surface, options.cursor);
    const arrange = () => this.#arrange();
    new ResizeObserver(arrange).observe(options.stage);
    new ResizeObserver(arrange).observe(options.bar);
    // Zooming the page changes the size of a device pixel.
    addEventListener("resize", arrange);
    // Where nothing is drawn (a covered window) frames are not called back, but still known by their size.
    for (const name of ["loadeddata", "resize"]) options.video.addEventListener(name, () => this.#shown());
    this.#arrange();
  }

  /** @param {ScreenSize} screen */
  setScreen(screen) {
    this.#screen = screen;
    this.#arrange();
  }

  /** @param {MediaStream} stream */
  show(stream) {
    const { video } = this.#options;
    // Each of its tracks is announced; setting it again would start it again.
    if (video.srcObject === stream) return;
    video.srcObject = stream;
    video.requestVideoFrameCallback(() => video.srcObject === stream && this.#shown());
    // Autoplay of a muted video is always allowed; without the sound's permission it starts muted.
    video.play().catch(() => {
      video.muted = true;
      video.play().catch(() => undefined);
    });
  }

  #shown() {
    // Sound alone makes "loadeddata" too: only a frame is a picture.
    if (this.#options.video.videoWidth === 0) return;
    this.#freeze(false);
    this.#options.onPicture();
  }

  get hasSound() {
    const stream = this.#options.video.srcObject;
    return stream instanceof MediaStream && stream.getAudioTracks().length > 0;
  }

  /** The stream ends: a video would turn black, so its last picture stays as a still. */
  keepLast() {
    const { video, still } = this.#options;
    if (video.srcObject === null || video.videoWidth === 0) return;
    still.width = video.videoWidth;
    still.height = video.videoHeight;
    still.getContext("2d")?.drawImage(video, 0, 0);
    this.#freeze(true);
    video.srcObject = null;
  }

  /** Take the picture away, as at the end of a session. */
  clear() {
    this.#options.video.srcObject = null;
    this.#freeze(false);
    this.cursor.forget();
  }

  /** @param {boolean} frozen */
  #freeze(frozen) {
    this.#options.still.hidden = !frozen;
    this.#options.surface.classList.toggle("frozen", frozen);
  }

  /**
   * The pixel of the remote screen under the pointer.
   * @param {{clientX: number, clientY: number}} event
   * @returns {Point}
   */
  locate(event) {
    const stage = this.#options.stage.getBoundingClientRect();
    return toScreen({ x: event.clientX - stage.left, y: event.clientY - stage.top }, this.#box, this.#screen);
  }

  /**
   * @param {import("./datachannel.js").CursorImage | import("./datachannel.js").CursorPosition} message
   */
  showCursor(message) {
    if (message.type === "cursor-image") this.cursor.setShape(message);
    else this.cursor.setPosition(message);
    this.cursor.place(this.#box, this.#screen);
  }

  /** @param {boolean} own whether the mouse here moves the remote cursor */
  setOwnCursor(own) {
    this.cursor.setOwn(own);
    this.cursor.place(this.#box, this.#screen);
  }

  /**
   * Where a pixel of the remote screen is, CSS px of the surface.
   * @param {Point} point
   */
  place(point) {
    const scale = this.#box.width / this.#screen.width;
    return { x: this.#box.left + point.x * scale, y: this.#box.top + point.y * scale };
  }

  /** Whether the picture is larger than its place. */
  get enlarged() {
    return this.#zoom.scale > 1;
  }

  /**
   * Enlarge it by two fingers.
   * @param {number} factor
   * @param {{x: number, y: number}} from CSS px of the page: what is there
   * @param {{x: number, y: number}} to comes there
   * @param {boolean} first a gesture begins; the others are counted from it
   */
  pinch(factor, from, to, first) {
    if (first) this.#zoomBefore = this.#zoom;
    const { left, top } = this.#options.stage.getBoundingClientRect();
    this.#zoom = pinched(this.#zoomBefore, factor, { x: from.x - left, y: from.y - top }, { x: to.x - left, y: to.y - top });
    this.#arrange();
  }

  /** Show all of it again. */
  showWhole() {
    this.#zoom = WHOLE;
    this.#arrange();
  }

  #arrange() {
    const { stage, surface, video, still, bar } = this.#options;
    const size = { width: stage.clientWidth, height: stage.clientHeight };
    const { box, zoom } = enlarge(fit(size, this.#screen, devicePixelRatio, bar.offsetHeight), size, this.#zoom);
    this.#box = box;
    this.#zoom = zoom;
    for (const side of /** @type {const} */ (["left", "top", "width", "height"])) {
      video.style[side] = still.style[side] = `${this.#box[side]}px`;
    }
    surface.classList.toggle("sharp", Math.abs((this.#box.width * devicePixelRatio) / this.#screen.width - 1) < 0.001);
    this.cursor.place(this.#box, this.#screen);
  }
}
