/**
 * From KeyboardEvent to X keysym (X11 keysymdef.h). Pure, a table and three rules:
 *
 * - what a key types is sent as that character, whatever the layout: Latin-1 is its own keysym, the rest of Unicode is
 *   0x01000000 + code point;
 * - with Ctrl, Alt or Meta a letter outside ASCII is taken from the key's place instead, so that shortcuts work in
 *   every script;
 * - keys that only change what others type (Caps Lock, Num Lock, AltGr, and Option on a Mac) are not sent: the
 *   character already says it.
 * @module
 */

/** @typedef {{key: string, code: string, location: number, ctrlKey?: boolean, altKey?: boolean, metaKey?: boolean, altGraph?: boolean}} Key */

const RIGHT = 2;
const NUMPAD = 3;
const UNICODE = 0x01000000;

/** Keys with a left and a right twin: [left, right]. */
/** @type {Record<string, [number, number]>} */
const SIDED = {
  Shift: [0xffe1, 0xffe2],
  Control: [0xffe3, 0xffe4],
  Alt: [0xffe9, 0xffea],
  Meta: [0xffeb, 0xffec],
  OS: [0xffeb, 0xffec],
  Super: [0xffeb, 0xffec],
  Hyper: [0xffed, 0xffee],
};

/** @type {Record<string, number>} */
const NAMED = {
  Backspace: 0xff08, Tab: 0xff09, Clear: 0xff0b, Enter: 0xff0d, Pause: 0xff13, Escape: 0xff1b, Delete: 0xffff,
  Home: 0xff50, ArrowLeft: 0xff51, ArrowUp: 0xff52, ArrowRight: 0xff53, ArrowDown: 0xff54,
  PageUp: 0xff55, PageDown: 0xff56, End: 0xff57,
  Select: 0xff60, PrintScreen: 0xff61, Execute: 0xff62, Insert: 0xff63, Undo: 0xff65, Redo: 0xff66,
  ContextMenu: 0xff67, Find: 0xff68, Cancel: 0xff69, Help: 0xff6a,
  KanjiMode: 0xff21, NonConvert: 0xff22, Convert: 0xff23, Romaji: 0xff24, Hiragana: 0xff25, Katakana: 0xff26,
  HiraganaKatakana: 0xff27, Zenkaku: 0xff28, Hankaku: 0xff29, ZenkakuHankaku: 0xff2a, KanaMode: 0xff2d,
  Eisu: 0xff2f, HangulMode: 0xff31, HanjaMode: 0xff34,
  BrowserBack: 0x1008ff26, BrowserForward: 0x1008ff27, BrowserStop: 0x1008ff28, BrowserRefresh: 0x1008ff73,
  BrowserSearch: 0x1008ff1b, BrowserFavorites: 0x1008ff30, BrowserHome: 0x1008ff18,
  Copy: 0x1008ff57, Cut: 0x1008ff58, Paste: 0x1008ff6d, ZoomIn: 0x1008ff8b, ZoomOut: 0x1008ff8c,
};
for (let number = 1; number <= 35; number++) NAMED[`F${number}`] = 0xffbd + number;

/** The same key names on the number pad. */
/** @type {Record<string, number>} */
const PAD = {
  Enter: 0xff8d, Home: 0xff95, ArrowLeft: 0xff96, ArrowUp: 0xff97, ArrowRight: 0xff98, ArrowDown: 0xff99,
  PageUp: 0xff9a, PageDown: 0xff9b, End: 0xff9c, Clear: 0xff9d, Insert: 0xff9e, Delete: 0xff9f,
  "=": 0xffbd, "*": 0xffaa, "+": 0xffab, "-": 0xffad, "/": 0xffaf,
};
for (let digit = 0; digit <= 9; digit++) PAD[String(digit)] = 0xffb0 + digit;

/** Keys that only change what the other keys type. */
const SILENT = new Set(["AltGraph", "CapsLock", "NumLock", "ScrollLock", "Fn", "FnLock", "Symbol", "SymbolLock"]);

/**
 * Whether a key changes the meaning of others; true for the silent ones too.
 * @param {string} key KeyboardEvent.key
 */
export function isModifier(key) {
  return Object.hasOwn(SIDED, key) || SILENT.has(key);
}

/**
 * Whether the page keeps the key for itself without sending anything.
 * @param {Key} event
 * @param {boolean} mac
 */
export function isSilent(event, mac) {
  return SILENT.has(event.key) || (mac && event.key === "Alt");
}

/**
 * The keysym of a character.
 * @param {number} codePoint
 * @returns {number | null} null for control characters that no key types
 */
export function keysymOfCharacter(codePoint) {
  if (codePoint === 0x0a || codePoint === 0x0d) return NAMED.Enter;
  if (codePoint === 0x09) return NAMED.Tab;
  if (codePoint < 0x20 || (codePoint >= 0x7f && codePoint < 0xa0)) return null;
  return codePoint <= 0xff ? codePoint : UNICODE + codePoint;
}

/**
 * The keysyms that type a text, one per character.
 * @param {string} text
 * @returns {number[]}
 */
export function keysymsOfText(text) {
  return [...text].flatMap((character) => keysymOfCharacter(character.codePointAt(0) ?? 0) ?? []);
}

/**
 * The keysym of a key.
 * @param {Key} event KeyboardEvent, with `altGraph` = getModifierState("AltGraph")
 * @param {boolean} mac Command acts as Ctrl, Option only chooses characters
 * @returns {number | null} null when the key sends nothing by itself (silent, dead, unknown, or part of a composition)
 */
export function keysymOf(event, mac) {
  const { key, location } = event;
  if (isSilent(event, mac)) return null;
  if (Object.hasOwn(SIDED, key)) return SIDED[mac && key === "Meta" ? "Control" : key][location === RIGHT ? 1 : 0];
  if (location === NUMPAD) {
    if (Object.hasOwn(PAD, key)) return PAD[key];
    if (event.code === "NumpadDecimal" && key.length === 1) return key === "," ? 0xffac : 0xffae;
  }
  if (Object.hasOwn(NAMED, key)) return NAMED[key];
  const characters = [...key];
  if (characters.length !== 1) return null;
  const codePoint = characters[0].codePointAt(0) ?? 0;
  if (codePoint > 0x7e && isShortcut(event, mac)) return placeOf(event.code) ?? keysymOfCharacter(codePoint);
  return keysymOfCharacter(codePoint);
}

/**
 * @param {Key} event
 * @param {boolean} mac
 */
function isShortcut(event, mac) {
  if (event.altGraph) return false;
  return Boolean(event.ctrlKey || event.metaKey || (event.altKey && !mac));
}

/**
 * What the key types on a US keyboard, for letters and digits.
 * @param {string} code KeyboardEvent.code
 * @returns {number | null}
 */
function placeOf(code) {
  const match = /^(?:Key([A-Z])|Digit([0-9]))$/.exec(code);
  return match ? (match[1]?.toLowerCase() ?? match[2]).charCodeAt(0) : null;
}
