/**
 * The clipboard both ways, for the one in control. Pasting needs no permission: the browser's own paste event carries the
 * text. Copying asks the browser, and where it refuses (no secure origin, no permission) a message with a button does it,
 * or the box in the settings.
 * @module
 */

import { element } from "./element.js";
import { rest, RestError } from "./rest.js";

/** Most characters of a text that travel; the server refuses larger messages. */
const LONGEST = 500_000;
/** What a message to ourselves is about that comes back when a paste before it has been done. */
const PASTED = "pasted";

/**
 * @typedef {object} ClipboardOptions
 * @property {import("./types.js").Send} send
 * @property {import("./prompts.js").Prompts} prompts
 * @property {() => boolean} allowed whether we may use the shared clipboard now
 * @property {() => void} letGo release all keys at the other end: it presses some of its own
 * @property {(act: () => Promise<unknown>) => void} inPlace do it after the input before it, and before the input after it
 * @property {() => string | null} self our own session
 */

export class Clipboard {
  /** @type {ClipboardOptions} */ #options;
  #section = element("clipboard", HTMLElement);
  #note = element("clipboard-note", HTMLElement);
  #text = element("clipboard-text", HTMLTextAreaElement);
  /** What both clipboards have, as far as we know: it is not sent back. */
  #same = "";
  /** @type {() => void} the paste that is under way has been done */ #done = () => undefined;

  /** @param {ClipboardOptions} options */
  constructor(options) {
    this.#options = options;
    element("clipboard-set", HTMLButtonElement).addEventListener("click", () => this.#put(this.#text.value));
    element("clipboard-paste", HTMLButtonElement).addEventListener("click", () => this.#pasteText(this.#text.value));
    element("clipboard-copy", HTMLButtonElement).addEventListener("click", () => void this.#copyNow(this.#text.value));
    document.addEventListener("paste", (event) => this.#pasted(event));
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was for us
   */
  hear(event, payload) {
    if (event === "send/unicast" && payload?.subject === PASTED && payload.sender === this.#options.self()) {
      this.#done();
      return true;
    }
    if (event !== "clipboard/updated") return false;
    const text = typeof payload?.text === "string" ? payload.text : "";
    this.#text.value = text;
    if (text !== "" && text !== this.#same) void this.#copy(text);
    return true;
  }

  show() {
    this.#section.hidden = !this.#options.allowed();
    this.#note.textContent = canWrite()
      ? "What is copied there is copied here too, and Ctrl+V pastes what you copied."
      : "Your browser lets pages use the clipboard over HTTPS alone. Ctrl+V works; to copy, use the button.";
  }

  /**
   * The person pasted into the shared browser.
   * @param {ClipboardEvent} event
   */
  #pasted(event) {
    if (event.target !== element("keyboard", HTMLTextAreaElement)) return;
    event.preventDefault();
    if (!this.#options.allowed() || event.clipboardData === null) return;
    const text = event.clipboardData.getData("text/plain");
    const html = event.clipboardData.getData("text/html");
    if (html !== "" && html.length <= LONGEST) this.#pasteHtml(text, html);
    else this.#pasteText(text);
  }

  /** @param {string} text */
  #pasteText(text) {
    if (!this.#fits(text)) return;
    this.#options.letGo();
    this.#same = text;
    this.#options.inPlace(() => this.#paste(text));
  }

  /**
   * @param {string} text
   * @param {string} html
   */
  #pasteHtml(text, html) {
    this.#options.letGo();
    this.#same = text;
    this.#options.inPlace(async () => {
      try {
        await rest("POST", "api/room/clipboard", { text, html });
        await this.#paste("");
      } catch (error) {
        if (!(error instanceof RestError)) throw error;
        if (this.#fits(text)) await this.#paste(text);
      }
    });
  }

  /**
   * Let the server paste, and wait until it has: it does one thing after the other, so what we say to ourselves then comes
   * back afterwards.
   * @param {string} text empty: what the shared clipboard has
   */
  async #paste(text) {
    this.#options.send("control/paste", text === "" ? {} : { text });
    /** @type {Promise<void>} */
    const done = new Promise((resolve) => (this.#done = resolve));
    if (this.#options.send("send/unicast", { receiver: this.#options.self(), subject: PASTED })) await done;
  }

  /** @param {string} text */
  #put(text) {
    if (!this.#fits(text)) return;
    this.#same = text;
    this.#options.send("clipboard/set", { text });
  }

  /** @param {string} text */
  #fits(text) {
    if (text.length <= LONGEST) return true;
    this.#options.prompts.hint("That text is too long to be pasted. Send it as a file.");
    return false;
  }

  /** @param {string} text */
  async #copy(text) {
    const before = this.#same;
    this.#same = text; // at once: the server may tell of it twice, and what is copied here meanwhile must stay
    try {
      if (!canWrite()) throw new DOMException("no secure context", "NotAllowedError");
      await navigator.clipboard.writeText(text);
    } catch {
      if (this.#same === text) this.#same = before;
      this.#options.prompts.ask("clipboard", "The shared browser copied text.", [
        { label: "Copy it here", primary: true, act: () => void this.#copyNow(text) },
        { label: "Not now", act: () => undefined },
      ]);
    }
  }

  /**
   * In a press of a button, where the browser allows more.
   * @param {string} text
   */
  async #copyNow(text) {
    try {
      if (!canWrite()) throw new DOMException("no secure context", "NotAllowedError");
      await navigator.clipboard.writeText(text);
    } catch {
      if (!copyBySelection(text)) {
        this.#options.prompts.hint("Your browser does not let this page copy. Select the text in the settings and copy it.");
        return;
      }
    }
    this.#same = text;
    this.#options.prompts.hint("Copied.");
  }
}

/** Whether this browser lets this page write to the clipboard at all. */
function canWrite() {
  return isSecureContext && typeof navigator.clipboard?.writeText === "function";
}

/** @param {string} text */
function copyBySelection(text) {
  const focused = document.activeElement;
  const field = document.createElement("textarea");
  field.className = "unseen";
  field.value = text;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return done;
}
