/**
 * Who is here: a list with who is in control, and what may be done about it.
 * @module
 */

import { element } from "./element.js";
import { Reception } from "./reception.js";

/** @typedef {import("./room.js").Room} Room */
/** @typedef {import("./types.js").SessionData} SessionData */

/**
 * @typedef {object} PeopleOptions
 * @property {(id: string) => void} give
 * @property {() => void} reset take control away from whoever has it
 * @property {(id: string, muted: boolean) => void} mute
 * @property {(id: string) => void} disconnect
 * @property {(id: string) => void} signOut end somebody's session
 */

/** @typedef {{text: string, label: string, key: string, act: () => void}} Action */

export class People {
  /** @type {PeopleOptions} */ #options;
  #toggle = element("people-toggle", HTMLButtonElement);
  #count = element("people-count", HTMLElement);
  #list = element("people-list", HTMLUListElement);
  #reception = new Reception();
  /** What is drawn: the same is not drawn again, so that nothing moves under a finger. */
  #drawn = "";
  /** Ids whose further actions are unfolded. */
  #unfolded = new Set();

  /** @param {PeopleOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** @param {Room} room */
  show(room) {
    const present = room.present;
    const drawn = JSON.stringify([room.self, room.controller, room.me?.profile, room.permits("chat.can_send"), present]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#count.textContent = String(present.length);
    this.#toggle.title = `Who is here (${present.length}), chat, files, settings`;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
    this.#list.replaceChildren(...present.map((session) => this.#row(room, session)));
    if (focused !== undefined) this.#refocus(focused);
  }

  /** @param {string} key */
  #refocus(key) {
    for (const part of this.#list.querySelectorAll("button, summary")) if (part instanceof HTMLElement && part.dataset.key === key) part.focus();
  }

  /**
   * @param {Room} room
   * @param {SessionData} session
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
    const first = this.#control(room, session);
    if (first !== null) row.append(button(first));
    const more = this.#more(room, session);
    if (more.length > 0) row.append(this.#folded(room.name(session.id), session, more));
    return row;
  }

  /**
   * @param {Room} room
   * @param {SessionData} session
   * @returns {Action | null}
   */
  #control(room, session) {
    const me = room.me?.profile;
    const name = room.name(session.id);
    if (!me?.can_host || session.id === room.self) return null;
    if (room.controller === session.id) {
      return me.is_admin ? { text: "Take away", label: `Take control away from ${name}`, key: `reset ${session.id}`, act: this.#options.reset } : null;
    }
    if (!(me.is_admin || room.inControl) || !session.profile.can_host) return null;
    return { text: "Give control", label: `Give control to ${name}`, key: `give ${session.id}`, act: () => this.#options.give(session.id) };
  }

  /**
   * What else an administrator may do about somebody.
   * @param {Room} room
   * @param {SessionData} session
   * @returns {Action[]}
   */
  #more(room, session) {
    if (!room.me?.profile.is_admin || session.id === room.self) return [];
    const { id } = session;
    const name = room.name(id);
    const muted = isMuted(session);
    return [
      {
        text: muted ? "Unmute" : "Mute", label: muted ? `Let ${name} write in the chat again` : `Keep ${name} from writing in the chat`,
        key: `mute ${id}`, act: () => this.#options.mute(id, !muted),
      },
      { text: "Disconnect", label: `Disconnect ${name}`, key: `disconnect ${id}`, act: () => this.#options.disconnect(id) },
      { text: "Sign out", label: `Sign ${name} out`, key: `end ${id}`, act: () => this.#options.signOut(id) },
    ];
  }

  /**
   * @param {string} name
   * @param {SessionData} session
   * @param {Action[]} actions
   */
  #folded(name, session, actions) {
    const { id } = session;
    const details = document.createElement("details");
    details.className = "more";
    details.open = this.#unfolded.has(id);
    const reception = document.createElement("p");
    reception.className = "quiet reception";
    details.addEventListener("toggle", () => {
      if (details.open) {
        this.#unfolded.add(id);
        if (session.state.is_watching) this.#reception.tell(id, reception);
        else reception.textContent = "No picture is sent.";
      } else {
        this.#unfolded.delete(id);
        this.#reception.leave(id);
      }
    });
    const summary = document.createElement("summary");
    summary.className = "button small icon-only";
    summary.textContent = "⋯";
    summary.title = "More";
    summary.dataset.key = `more ${id}`;
    summary.setAttribute("aria-label", `More about ${name}`);
    const group = document.createElement("div");
    group.className = "more-actions";
    group.append(reception, ...actions.map(button));
    details.append(summary, group);
    return details;
  }
}

/**
 * @param {Room} room
 * @param {SessionData} session
 */
function factsOf(room, session) {
  const facts = [];
  if (session.id === room.self) facts.push("you");
  if (session.profile.is_admin) facts.push("administrator");
  if (room.controller === session.id) facts.push("in control");
  else if (session.state.is_watching) facts.push("watching");
  else facts.push("not watching");
  if (isMuted(session)) facts.push("muted");
  return facts;
}

/** @param {SessionData} session */
function isMuted(session) {
  return session.profile.plugins?.["chat.can_send"] === false;
}

/** @param {string} name */
function initial(name) {
  const sign = document.createElement("span");
  sign.className = "initial";
  sign.setAttribute("aria-hidden", "true");
  sign.textContent = [...name][0]?.toUpperCase() ?? "?";
  return sign;
}

/** @param {Action} action `key` finds the button again after the list is drawn anew */
function button({ text, label, key, act }) {
  const found = document.createElement("button");
  found.type = "button";
  found.className = "button small";
  found.textContent = text;
  found.setAttribute("aria-label", label);
  found.dataset.key = key;
  found.addEventListener("click", act);
  return found;
}
