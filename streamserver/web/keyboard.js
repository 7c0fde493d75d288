/**
 * The keyboard of the one in control. A hidden text field holds the focus while keys go to the shared browser: keys
 * with a keysym are sent as they go down and up; what only a text field can make of keys (dead keys, input methods,
 * on-screen keyboards) is let through to it and sent as text when it is done.
 *
 * Nothing stays pressed when the focus is lost. Ctrl+Alt+Shift, released with no other key between, leaves.
 * @module
 */

import { isModifier, isSilent, keysymOf, keysymsOfText } from "./keysym.js";

/** Milliseconds within which a Control before AltGr is known as Windows' own, not a person's. */
const ALTGR_PAIR = 50;

/**
 * Milliseconds between two renewals of a key that is held: the server releases what nobody renewed for 10 s. Only the
 * keyboard's own repeat renews, because it proves that the key is down.
 */
const RENEWAL = 2_000;

const BACKSPACE = 0xff08;
const DELETE = 0xffff;
const ENTER = 0xff0d;
const SHIFT = 0xffe1;
const CONTROL = 0xffe3;

/**
 * @typedef {object} KeyboardOptions
 * @property {HTMLTextAreaElement} field
 * @property {boolean} mac
 * @property {() => boolean} active whether keys go to the shared browser
 * @property {(keysym: number) => void} keyDown
 * @property {(keysym: number) => void} keyUp
 * @property {() => boolean} pasting whether Ctrl+V pastes what was copied here: the browser says what it is
 * @property {() => void} leave the person pressed Ctrl+Alt+Shift
 */

export class Keyboard {
  /** @type {KeyboardOptions} */ #options;
  /** @type {Map<string, number>} keysym pressed by each key of the keyboard, so that the same one is released */
  #pressed = new Map();
  /** Whether Ctrl, Alt and Shift are down and nothing else was pressed since. */
  #leaving = false;
  #controlAt = -Infinity;
  #renewedAt = -Infinity;

  /** @param {KeyboardOptions} options */
  constructor(options) {
    this.#options = options;
    const { field } = options;
    field.addEventListener("keydown", (event) => this.#down(event));
    field.addEventListener("keyup", (event) => this.#up(event));
    field.addEventListener("compositionend", (event) => this.#type(event.data));
    field.addEventListener("input", (event) => this.#input(/** @type {InputEvent} */ (event)));
    field.addEventListener("drop", (event) => event.preventDefault());
    field.addEventListener("blur", () => this.releaseAll());
    addEventListener("blur", () => this.releaseAll());
    document.addEventListener("visibilitychange", () => document.hidden && this.releaseAll());
  }

  /** Release every key that is down at the other end. */
  releaseAll() {
    for (const keysym of this.#pressed.values()) this.#options.keyUp(keysym);
    this.#pressed.clear();
    this.#leaving = false;
  }

  /** Whether a Ctrl is down at the other end because it is down here. */
  get controlDown() {
    return [...this.#pressed.values()].some((keysym) => keysym === 0xffe3 || keysym === 0xffe4);
  }

  /** @param {KeyboardEvent} event */
  #down(event) {
    if (!this.#options.active() || isComposing(event)) return;
    this.#watchForLeaving(event);
    if (isSilent(event, this.#options.mac)) {
      event.preventDefault();
      if (event.key === "AltGraph") this.#forgetFakeControl(event);
      return;
    }
    const keysym = keysymOf({ ...fields(event), altGraph: event.getModifierState("AltGraph") }, this.#options.mac);
    if (keysym === null) return;
    // The paste event that follows is heard by the clipboard; it presses the keys at the other end.
    if (isPaste(event, keysym, this.#options.mac) && this.#options.pasting()) return;
    event.preventDefault();
    const place = placeOf(event);
    this.#releaseLostModifiers(event);
    this.#pressMissingModifiers(event);
    if (event.repeat && this.#pressed.has(place)) return this.#renew(event, place);
    if (event.code === "ControlLeft") this.#controlAt = event.timeStamp;
    // The same key may type something else now (Shift came or went): its old keysym must not stay down.
    this.#release(place);
    this.#options.keyDown(keysym);
    // A Mac tells nothing of the release of a key while Command is down.
    if (this.#options.mac && event.metaKey && !isModifier(event.key)) this.#options.keyUp(keysym);
    else this.#pressed.set(place, keysym);
  }

  /** @param {KeyboardEvent} event */
  #up(event) {
    if (this.#leaving && isModifier(event.key)) {
      this.releaseAll();
      event.preventDefault();
      this.#options.leave();
      return;
    }
    if (this.#release(placeOf(event))) event.preventDefault();
  }

  /**
   * @param {KeyboardEvent} event
   * @param {string} place
   */
  #renew(event, place) {
    if (event.timeStamp - this.#renewedAt < RENEWAL) return;
    this.#renewedAt = event.timeStamp;
    for (const [held, keysym] of this.#pressed) if (held === place || modifierAt(held) !== null) this.#options.keyDown(keysym);
  }

  /**
   * The system may keep the release of a modifier for itself; the next key tells.
   * @param {KeyboardEvent} event
   */
  #releaseLostModifiers(event) {
    for (const place of [...this.#pressed.keys()]) {
      const modifier = modifierAt(place);
      if (modifier !== null && place !== event.code && !event.getModifierState(modifier)) this.#release(place);
    }
  }

  /**
   * What was released at the other end while it is held here (a paste does that) goes down again with the next key.
   * @param {KeyboardEvent} event
   */
  #pressMissingModifiers(event) {
    if (isModifier(event.key) || event.getModifierState("AltGraph")) return;
    const command = this.#options.mac ? event.metaKey : event.ctrlKey;
    /** @type {[boolean, string[], string, number][]} */
    const wanted = [
      [command, this.#options.mac ? ["MetaLeft", "MetaRight"] : ["ControlLeft", "ControlRight"], this.#options.mac ? "MetaLeft" : "ControlLeft", CONTROL],
      [event.shiftKey, ["ShiftLeft", "ShiftRight"], "ShiftLeft", SHIFT],
    ];
    for (const [held, places, place, keysym] of wanted) {
      if (!held || event.code === "" || places.some((other) => this.#pressed.has(other))) continue;
      this.#options.keyDown(keysym);
      this.#pressed.set(place, keysym);
    }
  }

  /** @param {string} place */
  #release(place) {
    const keysym = this.#pressed.get(place);
    if (keysym === undefined) return false;
    this.#pressed.delete(place);
    // Two keys may have sent the same keysym: it is up when the last one is.
    if (![...this.#pressed.values()].includes(keysym)) this.#options.keyUp(keysym);
    return true;
  }

  /** @param {KeyboardEvent} event */
  #watchForLeaving(event) {
    this.#leaving = event.ctrlKey && event.altKey && event.shiftKey && isModifier(event.key);
  }

  /**
   * Windows presses Control before AltGr by itself; the shared browser must not see it.
   * @param {KeyboardEvent} event
   */
  #forgetFakeControl(event) {
    if (event.timeStamp - this.#controlAt < ALTGR_PAIR) this.#release("ControlLeft");
  }

  /** @param {InputEvent} event */
  #input(event) {
    if (event.isComposing || /Composition/.test(event.inputType)) return;
    if (event.inputType.startsWith("insertLine") || event.inputType === "insertParagraph") this.#tap(ENTER);
    else if (event.inputType.startsWith("deleteContentBackward")) this.#tap(BACKSPACE);
    else if (event.inputType.startsWith("deleteContentForward")) this.#tap(DELETE);
    else this.#type(event.data ?? "");
  }

  /** @param {string} text */
  #type(text) {
    if (this.#options.active()) keysymsOfText(text).forEach((keysym) => this.#tap(keysym));
    this.#options.field.value = "";
  }

  /** @param {number} keysym */
  #tap(keysym) {
    this.#options.keyDown(keysym);
    this.#options.keyUp(keysym);
  }
}

/** @param {KeyboardEvent} event */
function isComposing(event) {
  return event.isComposing || event.keyCode === 229 || event.key === "Process" || event.key === "Dead";
}

/**
 * @param {KeyboardEvent} event
 * @param {number} keysym
 * @param {boolean} mac
 */
function isPaste(event, keysym, mac) {
  return (mac ? event.metaKey : event.ctrlKey) && !event.altKey && (keysym === 0x76 || keysym === 0x56);
}

/**
 * The key of the keyboard; on-screen keyboards have no codes.
 * @param {KeyboardEvent} event
 */
function placeOf(event) {
  return event.code || event.key;
}

/**
 * The name getModifierState knows the key by.
 * @param {string} place KeyboardEvent.code
 * @returns {string | null} null when it is no modifier
 */
function modifierAt(place) {
  return /^(Shift|Control|Alt|Meta)(Left|Right)$/.exec(place)?.[1] ?? null;
}

/** @param {KeyboardEvent} event */
function fields(event) {
  const { key, code, location, ctrlKey, altKey, metaKey } = event;
  return { key, code, location, ctrlKey, altKey, metaKey };
}
