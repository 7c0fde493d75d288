/**
 * Why the machine is awake, for admins: asked only while somebody looks at it.
 * @module
 */

import { element } from "./element.js";
import { describeFile, describeHold } from "./evidence.js";
import { rest, RestError } from "./rest.js";

/** @typedef {import("./types.js").Evidence} Evidence */

/** Milliseconds from one answer to the next question. */
const INTERVAL = 5_000;

export class Gate {
  #section = element("gate", HTMLElement);
  #summary = element("gate-summary", HTMLElement);
  #holds = element("gate-holds", HTMLUListElement);
  #file = element("gate-file", HTMLElement);
  #looking = false;
  #asking = false;
  /** The server has no gate, or does not tell us. */
  #refused = false;
  /** @type {boolean | null} whether the server has a gate; null = not asked yet */
  #there = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  constructor() {
    document.addEventListener("visibilitychange", () => this.#ask());
  }

  /** @param {boolean} looking whether an admin has it before them */
  look(looking) {
    if (looking === this.#looking) return;
    this.#looking = looking;
    this.#refused = false;
    this.#section.hidden = true;
    this.#ask();
  }

  async #ask() {
    clearTimeout(this.#timer);
    if (!this.#looking || this.#refused || this.#asking || document.hidden) return;
    this.#asking = true;
    try {
      if (await this.#isThere()) this.#show(await rest("GET", "api/scaletozero"));
      else this.#refused = true;
    } catch (error) {
      this.#failed(error);
    }
    this.#asking = false;
    this.#timer = setTimeout(() => void this.#ask(), INTERVAL);
  }

  /** Whether the server has a gate: it says so among the parts whose health it knows, once for this page. */
  async #isThere() {
    this.#there ??= Boolean((await rest("GET", "api/health"))?.parts?.scaletozero);
    return this.#there;
  }

  /** @param {Evidence} evidence */
  #show(evidence) {
    this.#section.hidden = !this.#looking;
    this.#summary.textContent = evidence.summary;
    this.#holds.replaceChildren(...evidence.holds.map(row));
    this.#file.textContent = describeFile(evidence);
    this.#file.classList.toggle("error", evidence.last_error !== null);
  }

  /** @param {unknown} error */
  #failed(error) {
    this.#refused = error instanceof RestError && error.status >= 400 && error.status < 500;
    if (this.#refused) this.#section.hidden = true;
    else this.#summary.textContent = "The server does not say now.";
  }
}

/** @param {import("./types.js").HoldEvidence} hold */
function row(hold) {
  const { what, since } = describeHold(hold);
  const line = document.createElement("li");
  const age = document.createElement("span");
  age.className = "quiet";
  age.textContent = since;
  line.append(what, " ", age);
  return line;
}
