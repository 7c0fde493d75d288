/**
 * The binary messages of the data channel (neko v3), big-endian: u8 opcode, u16 length, body.
 * The length counts the body alone towards the server, and the whole message from the server.
 * Pure: bytes in, values out.
 * @module
 */

const MOVE = 0x01;
const SCROLL = 0x02;
const KEY_DOWN = 0x03;
const KEY_UP = 0x04;
const BUTTON_DOWN = 0x05;
const BUTTON_UP = 0x06;
const PING = 0x07;

const CURSOR_POSITION = 0x01;
const CURSOR_IMAGE = 0x02;
const PONG = 0x03;

const HEADER = 3;
/** A time is sent as two u32: milliseconds = high * 4294967295 + low (the protocol's own multiplier, 2^32 - 1). */
const TIME_BASE = 4294967295;

/** @typedef {{type: "cursor-position", x: number, y: number}} CursorPosition */
/** @typedef {{type: "cursor-image", width: number, height: number, xhot: number, yhot: number, png: Uint8Array}} CursorImage */
/** @typedef {{type: "pong", sent: number, answered: number}} Pong milliseconds of each side's clock */

/**
 * @param {number} opcode
 * @param {number} length of the body, bytes
 */
function message(opcode, length) {
  const view = new DataView(new ArrayBuffer(HEADER + length));
  view.setUint8(0, opcode);
  view.setUint16(1, length);
  return view;
}

/**
 * @param {number} opcode
 * @param {number} value
 */
function one(opcode, value) {
  const view = message(opcode, 4);
  view.setUint32(HEADER, value);
  return view.buffer;
}

/**
 * @param {number} x px of the remote screen
 * @param {number} y
 */
export function encodeMove(x, y) {
  const view = message(MOVE, 4);
  view.setUint16(HEADER, x);
  view.setUint16(HEADER + 2, y);
  return view.buffer;
}

/**
 * @param {number} dx notches, positive = left
 * @param {number} dy notches, positive = up
 * @param {boolean} controlKey hold Ctrl around it
 */
export function encodeScroll(dx, dy, controlKey) {
  const view = message(SCROLL, 5);
  view.setInt16(HEADER, dx);
  view.setInt16(HEADER + 2, dy);
  view.setUint8(HEADER + 4, controlKey ? 1 : 0);
  return view.buffer;
}

/** @param {number} keysym X keysym */
export const encodeKeyDown = (keysym) => one(KEY_DOWN, keysym);
/** @param {number} keysym X keysym */
export const encodeKeyUp = (keysym) => one(KEY_UP, keysym);
/** @param {number} button X button: 1 left, 2 middle, 3 right, 8 back, 9 forward */
export const encodeButtonDown = (button) => one(BUTTON_DOWN, button);
/** @param {number} button X button */
export const encodeButtonUp = (button) => one(BUTTON_UP, button);

/** @param {number} time milliseconds */
export function encodePing(time) {
  const view = message(PING, 8);
  view.setUint32(HEADER, Math.floor(time / TIME_BASE));
  view.setUint32(HEADER + 4, time % TIME_BASE);
  return view.buffer;
}

/**
 * @param {ArrayBuffer} buffer one message of the server
 * @returns {CursorPosition | CursorImage | Pong | null} null when it is none we know
 */
export function decode(buffer) {
  const view = new DataView(buffer);
  const size = buffer.byteLength;
  if (size < HEADER) return null;
  const opcode = view.getUint8(0);
  if (opcode === CURSOR_POSITION && size >= 7) {
    return { type: "cursor-position", x: view.getUint16(3), y: view.getUint16(5) };
  }
  if (opcode === CURSOR_IMAGE && size >= 11) {
    // The u16 length wraps for large pictures: the message's own size counts.
    const png = new Uint8Array(buffer, 11);
    return {
      type: "cursor-image",
      width: view.getUint16(3),
      height: view.getUint16(5),
      xhot: view.getUint16(7),
      yhot: view.getUint16(9),
      png,
    };
  }
  if (opcode === PONG && size >= 19) return { type: "pong", sent: time(view, 3), answered: time(view, 11) };
  return null;
}

/**
 * @param {DataView} view
 * @param {number} offset
 */
function time(view, offset) {
  return view.getUint32(offset) * TIME_BASE + view.getUint32(offset + 4);
}
