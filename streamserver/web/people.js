/**
 * Who is here: a list with who is in control, and what may be done about it.
 * @module
 */

import { element } from "./element.js";

/** @typedef {import("./room.js").Room} Room */

/**
 * @typedef {object} PeopleOptions
 * @property {(id: string) => void} give
 * @property {() => void} reset take control away from whoever has it
 * @property {() => void} toggled the list was opened or closed
 */

export class People {
  /** @type {PeopleOptions} */ #options;
  #panel = element("people", HTMLElement);
  #toggle = element("people-toggle", HTMLButtonElement);
  #count = element("people-count", HTMLElement);
  #list = element("people-list", HTMLUListElement);

  /** @param {PeopleOptions} options */
  constructor(options) {
    this.#options = options;
    this.#toggle.addEventListener("click", () => this.open(this.#panel.hidden === true));
    element("people-close", HTMLButtonElement).addEventListener("click", () => this.#close());
    this.#panel.addEventListener("keydown", (event) => event.key === "Escape" && this.#close());
  }

  /** @param {boolean} open */
  open(open) {
    this.#panel.hidden = !open;
    document.body.classList.toggle("with-panel", open);
    this.#toggle.setAttribute("aria-expanded", String(open));
    this.#options.toggled();
  }

  /** Whether the list is open. */
  get isOpen() {
    return !this.#panel.hidden;
  }

  #close() {
    this.open(false);
    this.#toggle.focus();
  }

  /** @param {Room} room */
  show(room) {
    const present = room.present;
    this.#count.textContent = String(present.length);
    this.#toggle.title = `Who is here (${present.length})`;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
    this.#list.replaceChildren(...present.map((session) => this.#row(room, session)));
    if (focused !== undefined) this.#refocus(focused);
  }

  /** @param {string} key */
  #refocus(key) {
    for (const button of this.#list.querySelectorAll("button")) if (button.dataset.key === key) button.focus();
  }

  /**
   * @param {Room} room
   * @param {import("./types.js").SessionData} session
   */
  #row(room, session) {
    const row = document.createElement("li");
    const name = document.createElement("span");
    name.className = "person";
    name.textContent = room.name(session.id);
    const facts = document.createElement("span");
    facts.className = "quiet";
    facts.textContent = factsOf(room, session).join(", ");
    const text = document.createElement("div");
    text.className = "person-text";
    text.append(name, facts);
    row.append(initial(room.name(session.id)), text);
    row.classList.toggle("in-control", room.controller === session.id);
    const button = this.#button(room, session);
    if (button !== null) row.append(button);
    return row;
  }

  /**
   * @param {Room} room
   * @param {import("./types.js").SessionData} session
   * @returns {HTMLButtonElement | null}
   */
  #button(room, session) {
    const me = room.me?.profile;
    if (!me?.can_host || session.id === room.self) return null;
    if (room.controller === session.id) {
      return me.is_admin ? action("Take away", `Take control away from ${room.name(session.id)}`, `reset ${session.id}`, this.#options.reset) : null;
    }
    if (!(me.is_admin || room.inControl) || !session.profile.can_host) return null;
    return action("Give control", `Give control to ${room.name(session.id)}`, `give ${session.id}`, () => this.#options.give(session.id));
  }
}

/**
 * @param {Room} room
 * @param {import("./types.js").SessionData} session
 */
function factsOf(room, session) {
  const facts = [];
  if (session.id === room.self) facts.push("you");
  if (session.profile.is_admin) facts.push("administrator");
  if (room.controller === session.id) facts.push("in control");
  else if (session.state.is_watching) facts.push("watching");
  else facts.push("not watching");
  return facts;
}

/** @param {string} name */
function initial(name) {
  const sign = document.createElement("span");
  sign.className = "initial";
  sign.setAttribute("aria-hidden", "true");
  sign.textContent = [...name][0]?.toUpperCase() ?? "?";
  return sign;
}

/**
 * @param {string} text
 * @param {string} label
 * @param {string} key finds the button again after the list is drawn anew
 * @param {() => void} act
 */
function action(text, label, key, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button small";
  button.textContent = text;
  button.setAttribute("aria-label", label);
  button.dataset.key = key;
  button.addEventListener("click", act);
  return button;
}
