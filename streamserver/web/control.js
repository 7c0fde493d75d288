/**
 * Taking, giving and releasing control, and the button for it.
 * @module
 */

import { element } from "./element.js";
import { rest, RestError } from "./rest.js";

/** Milliseconds a request for control is shown as waiting. */
const ASKED_TIME = 15_000;

/** @typedef {import("./room.js").Room} Room */

/** @type {Record<Room["control"], string>} */
const LABELS = {
  "in-control": "Release control",
  take: "Take control",
  "admin-take": "Take control",
  ask: "Ask for control",
  locked: "Control is locked",
  none: "",
};

/**
 * @typedef {object} ControlOptions
 * @property {Room} room
 * @property {import("./types.js").Send} send
 * @property {import("./prompts.js").Prompts} prompts
 * @property {() => void} onChange what was asked for has changed
 */

export class Control {
  /** @type {ControlOptions} */ #options;
  #button = element("control", HTMLButtonElement);
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** Whether the person here wants it: then the keyboard goes there as soon as it is granted. */
  wanted = false;
  asked = false;

  /** @param {ControlOptions} options */
  constructor(options) {
    this.#options = options;
    this.#button.addEventListener("click", () => this.toggle());
  }

  /** What the button does. */
  toggle() {
    const { room, send } = this.#options;
    switch (room.control) {
      case "in-control":
        send("control/release");
        break;
      case "take":
        this.wanted = true;
        send("control/request");
        break;
      case "admin-take":
        this.wanted = true;
        void this.#ask("api/room/control/take");
        break;
      case "ask":
        this.wanted = true;
        send("control/request");
        this.#wait();
        break;
      default:
    }
  }

  /** A press on the picture: takes control where nobody is disturbed or the room allows it. */
  press() {
    const { room, prompts } = this.#options;
    if (room.control === "take") this.toggle();
    else if (room.control === "locked") prompts.hint("Control is locked by an administrator.");
    else if (room.controller !== null && room.control !== "none") prompts.hint(`${room.name(room.controller)} is in control. Use the button at the top to get it.`);
  }

  /**
   * Somebody asks us for control.
   * @param {string} id
   */
  requested(id) {
    const { room, prompts } = this.#options;
    prompts.ask(`request ${id}`, `${room.name(id)} asks for control.`, [
      { label: "Give control", primary: true, act: () => this.give(id) },
      { label: "Keep it", act: () => undefined },
    ]);
  }

  /** @param {string} id */
  give(id) {
    void this.#ask(`api/room/control/give/${encodeURIComponent(id)}`);
  }

  reset() {
    void this.#ask("api/room/control/reset");
  }

  /** Control went to somebody, or to nobody. */
  changed() {
    this.#stopWaiting();
    if (!this.#options.room.inControl) this.wanted = false;
  }

  show() {
    const { room } = this.#options;
    this.#button.textContent = LABELS[room.control];
    this.#button.hidden = room.control === "none";
    this.#button.disabled = room.control === "locked" || this.asked;
    this.#button.classList.toggle("primary", room.control !== "in-control" && room.control !== "locked");
  }

  hide() {
    this.#button.hidden = true;
    this.#stopWaiting();
    this.wanted = false;
  }

  #wait() {
    this.asked = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#stopWaiting();
      this.#options.onChange();
    }, ASKED_TIME);
    this.#options.onChange();
  }

  #stopWaiting() {
    this.asked = false;
    clearTimeout(this.#timer);
  }

  /** @param {string} path */
  async #ask(path) {
    try {
      await rest("POST", path);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      this.#options.prompts.hint(`That did not work: ${error.message}.`);
    }
  }
}
