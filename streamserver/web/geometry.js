/**
 * Where the picture lies on the page, and which pixel of the remote screen a pointer is on. Pure.
 * @module
 */

/** @typedef {{width: number, height: number}} Size */
/** @typedef {{left: number, top: number, width: number, height: number}} Box CSS px */

/** Up to this enlargement the picture is shown 1:1 with a thin border, sharp, instead of blurred to fill. */
const SHARP_UNTIL = 1.12;

/**
 * The largest box of the screen's aspect in the stage, on whole device pixels. Free height goes to the top first, so
 * that the bar covers as little of the picture as can be.
 * @param {Size} stage CSS px
 * @param {Size} screen px of the remote screen
 * @param {number} pixelRatio device pixels per CSS px
 * @param {number} barHeight CSS px
 * @returns {Box}
 */
export function fit(stage, screen, pixelRatio, barHeight) {
  const wide = stage.width * pixelRatio;
  const high = stage.height * pixelRatio;
  let scale = Math.min(wide / screen.width, high / screen.height);
  if (scale >= 1 && scale < SHARP_UNTIL) scale = 1;
  const width = Math.round(screen.width * scale);
  const height = Math.round(screen.height * scale);
  const free = Math.max(0, Math.floor(high - height));
  const bar = Math.round(barHeight * pixelRatio);
  const top = free > bar ? bar + Math.floor((free - bar) / 2) : free;
  const left = Math.max(0, Math.floor((wide - width) / 2));
  return { left: left / pixelRatio, top: top / pixelRatio, width: width / pixelRatio, height: height / pixelRatio };
}

/** How much larger than its place a picture may be made. */
const LARGEST = 5;

/**
 * How the picture is enlarged: by which factor, and by how much it is moved, CSS px.
 * @typedef {{scale: number, x: number, y: number}} Zoom
 */

/** @type {Zoom} */
export const WHOLE = { scale: 1, x: 0, y: 0 };

/**
 * The box of the enlarged picture. It is moved no further than its edges.
 * @param {Box} box of the whole picture
 * @param {Size} stage CSS px
 * @param {Zoom} zoom
 * @returns {{box: Box, zoom: Zoom}} the zoom as far as it is possible
 */
export function enlarge(box, stage, zoom) {
  const scale = Math.min(LARGEST, Math.max(1, zoom.scale));
  if (scale === 1) return { box, zoom: WHOLE };
  const width = box.width * scale;
  const height = box.height * scale;
  const left = within(box.left * scale + zoom.x, width, stage.width);
  const top = within(box.top * scale + zoom.y, height, stage.height);
  return { box: { left, top, width, height }, zoom: { scale, x: left - box.left * scale, y: top - box.top * scale } };
}

/**
 * Enlarge by a factor more, so that what is at `from` comes to `to`.
 * @param {Zoom} zoom
 * @param {number} factor
 * @param {{x: number, y: number}} from CSS px of the stage
 * @param {{x: number, y: number}} to
 * @returns {Zoom}
 */
export function pinched(zoom, factor, from, to) {
  const scale = Math.min(LARGEST, Math.max(1, zoom.scale * factor));
  const real = scale / zoom.scale;
  return { scale, x: to.x - (from.x - zoom.x) * real, y: to.y - (from.y - zoom.y) * real };
}

/**
 * @param {number} start
 * @param {number} length of the picture
 * @param {number} room of the stage
 */
function within(start, length, room) {
  // Larger, it leaves no gap; smaller, it leaves no edge.
  return Math.min(Math.max(0, room - length), Math.max(Math.min(0, room - length), start));
}

/**
 * The pixel of the remote screen under a point of the page, the nearest one when the point is outside.
 * @param {{x: number, y: number}} point CSS px, same origin as the box
 * @param {Box} box of the picture
 * @param {Size} screen px
 * @returns {{x: number, y: number}}
 */
export function toScreen(point, box, screen) {
  return {
    x: clamp(Math.floor(((point.x - box.left) / box.width) * screen.width), screen.width),
    y: clamp(Math.floor(((point.y - box.top) / box.height) * screen.height), screen.height),
  };
}

/**
 * @param {number} value
 * @param {number} size
 */
function clamp(value, size) {
  return Math.min(size - 1, Math.max(0, value));
}
