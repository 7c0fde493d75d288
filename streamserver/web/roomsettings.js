/**
 * What administrators set for everybody: locks, rules of control, the screen's size.
 * @module
 */

import { element } from "./element.js";
import { rest, RestError } from "./rest.js";

/** @typedef {import("./types.js").ScreenSize} ScreenSize */
/** @typedef {import("./types.js").Settings} Settings */

/**
 * One switch: whether it is on, and what is sent to turn it.
 * @typedef {object} Switch
 * @property {string} id
 * @property {string} label
 * @property {(settings: Settings) => boolean} isOn
 * @property {(on: boolean) => object} change
 */

/** @type {Switch[]} */
const SWITCHES = [
  own("locked_controls", "Only administrators may take control"),
  own("implicit_hosting", "Whoever wants control takes it at once"),
  own("control_protection", "Nobody takes control while no administrator is here"),
  own("locked_logins", "Nobody new may sign in"),
  own("private_mode", "Only administrators see the picture"),
  own("inactive_cursors", "Show the pointers of those who watch"),
  lock("chat.can_send", "Only administrators write in the chat"),
  lock("filetransfer.enabled", "Only administrators see the files"),
];

/**
 * @typedef {object} RoomSettingsOptions
 * @property {import("./room.js").Room} room
 * @property {import("./types.js").Send} send
 * @property {import("./prompts.js").Prompts} prompts
 */

export class RoomSettings {
  /** @type {RoomSettingsOptions} */ #options;
  #section = element("room-settings", HTMLElement);
  #place = element("room-switches", HTMLElement);
  #screen = element("screen-size", HTMLSelectElement);
  /** @type {Map<string, HTMLInputElement>} */ #boxes = new Map();
  /** @type {ScreenSize[]} */ #sizes = [];
  #drawn = "";

  /** @param {RoomSettingsOptions} options */
  constructor(options) {
    this.#options = options;
    for (const one of SWITCHES) this.#place.append(this.#make(one));
    this.#screen.addEventListener("change", () => {
      const [width, height, rate] = this.#screen.value.split("x").map(Number);
      options.send("screen/set", { width, height, rate });
    });
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was for us
   */
  hear(event, payload) {
    if (event !== "system/admin") return false;
    this.#sizes = payload?.screen_sizes_list ?? [];
    return true;
  }

  show() {
    const { room } = this.#options;
    const { settings } = room;
    this.#section.hidden = !room.me?.profile.is_admin || settings === null;
    if (this.#section.hidden || settings === null) return;
    for (const one of SWITCHES) {
      const box = this.#boxes.get(one.id);
      if (box !== undefined) box.checked = one.isOn(settings);
    }
    this.#showSizes(room.screen);
  }

  /** @param {ScreenSize} now */
  #showSizes(now) {
    const drawn = JSON.stringify([now, this.#sizes]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const known = this.#sizes.some((size) => value(size) === value(now));
    const sizes = known ? this.#sizes : [now, ...this.#sizes];
    this.#screen.replaceChildren(...sizes.map((size) => new Option(`${size.width} × ${size.height}, ${size.rate} Hz`, value(size))));
    this.#screen.value = value(now);
  }

  /** @param {Switch} one */
  #make(one) {
    const label = document.createElement("label");
    label.className = "switch";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.addEventListener("change", () => void this.#turn(one, box));
    this.#boxes.set(one.id, box);
    label.append(box, one.label);
    return label;
  }

  /**
   * @param {Switch} one
   * @param {HTMLInputElement} box
   */
  async #turn(one, box) {
    const on = box.checked;
    try {
      await rest("POST", "api/room/settings", one.change(on));
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      box.checked = !on;
      this.#options.prompts.hint(`That did not work: ${error.message}.`);
    }
  }
}

/**
 * @param {"locked_controls" | "implicit_hosting" | "control_protection" | "locked_logins" | "private_mode" | "inactive_cursors"} key
 * @param {string} label
 * @returns {Switch}
 */
function own(key, label) {
  return { id: key, label, isOn: (settings) => settings[key], change: (on) => ({ [key]: on }) };
}

/**
 * A plugin's setting, which is on unless it is turned off: the switch says that it is off.
 * @param {string} key
 * @param {string} label
 * @returns {Switch}
 */
function lock(key, label) {
  const isOn = (/** @type {Settings} */ settings) => (settings.plugins?.[key] ?? true) !== true;
  return { id: key, label, isOn, change: (on) => ({ plugins: { [key]: !on } }) };
}

/** @param {ScreenSize} size */
function value({ width, height, rate }) {
  return `${width}x${height}x${rate}`;
}
