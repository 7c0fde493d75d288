/**
 * The chat: what is said while one is here. The server keeps nothing, and neither does the page after it is left.
 * @module
 */

import { element } from "./element.js";

/** Most messages on the page; the oldest go first. */
const MOST = 500;
/** Most unread messages that are counted. */
const MOST_UNREAD = 99;

/**
 * @typedef {object} ChatOptions
 * @property {import("./room.js").Room} room
 * @property {import("./types.js").Send} send
 * @property {import("./prompts.js").Prompts} prompts
 * @property {() => boolean} looking whether the person has the chat before them
 * @property {() => void} changed
 */

export class Chat {
  /** @type {ChatOptions} */ #options;
  #list = element("chat-list", HTMLOListElement);
  #empty = element("chat-empty", HTMLElement);
  #form = element("chat-form", HTMLFormElement);
  #text = element("chat-text", HTMLTextAreaElement);
  #closed = element("chat-closed", HTMLElement);
  #unread = 0;
  /** Whether the server has a chat. */
  #there = false;

  /** @param {ChatOptions} options */
  constructor(options) {
    this.#options = options;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#say();
    });
    this.#text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#say();
    });
    this.#text.addEventListener("input", () => this.#grow());
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was about the chat
   */
  hear(event, payload) {
    if (event === "chat/init") this.#there = Boolean(payload?.enabled);
    else if (event === "chat/message") this.#add(payload);
    else return false;
    return true;
  }

  /** Whether there is anything to read or to write for us. */
  get isThere() {
    const { room } = this.#options;
    return this.#there && (room.permits("chat.can_send") || room.permits("chat.can_receive"));
  }

  show() {
    const maySend = this.#options.room.permits("chat.can_send");
    this.#form.hidden = !maySend;
    this.#closed.hidden = maySend;
    if (this.#options.looking()) this.#unread = 0;
    for (const id of ["chat-unread", "bar-unread"]) {
      const badge = element(id, HTMLElement);
      badge.hidden = this.#unread === 0 || !this.isThere;
      badge.textContent = this.#unread > MOST_UNREAD ? `${MOST_UNREAD}+` : String(this.#unread);
      badge.setAttribute("aria-label", `${this.#unread} unread`);
    }
  }

  /** Signed out: what was said is not for whoever comes next. */
  forget() {
    this.#list.replaceChildren();
    this.#empty.hidden = false;
    this.#text.value = "";
    this.#unread = 0;
    this.#there = false;
  }

  /** @param {{id: string, created: string, content: {text: string}}} message */
  #add(message) {
    const { room } = this.#options;
    const text = message?.content?.text;
    if (typeof text !== "string") return;
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    this.#list.append(row(room.name(message.id), message.created, text, message.id === room.self));
    while (this.#list.children.length > MOST) this.#list.firstElementChild?.remove();
    this.#empty.hidden = true;
    // Who reads further up is not pulled away.
    if (atEnd || message.id === room.self) this.#list.scrollTop = this.#list.scrollHeight;
    if (!this.#options.looking() && message.id !== room.self) this.#unread += 1;
    this.#options.changed();
  }

  #say() {
    const text = this.#text.value.trim();
    if (text === "") return;
    if (!this.#options.send("chat/message", { text })) return this.#options.prompts.hint("There is no connection just now. Send it again in a moment.");
    this.#text.value = "";
    this.#text.focus();
    this.#grow();
  }

  #grow() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${Math.min(140, this.#text.scrollHeight + 2)}px`;
  }
}

/**
 * @param {string} name
 * @param {string} created
 * @param {string} text
 * @param {boolean} own
 */
function row(name, created, text, own) {
  const item = document.createElement("li");
  item.classList.toggle("own", own);
  const head = document.createElement("p");
  head.className = "chat-head quiet";
  const who = document.createElement("b");
  who.textContent = own ? "You" : name;
  const when = document.createElement("time");
  const date = new Date(created);
  when.dateTime = created;
  when.textContent = Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  head.append(who, " ", when);
  const body = document.createElement("p");
  body.className = "chat-body";
  body.textContent = text;
  item.append(head, body);
  return item;
}
