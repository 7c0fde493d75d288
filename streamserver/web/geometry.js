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
