/**
 * Broadcasting the room to a streaming service: where to, and whether it runs; for administrators.
 * @module
 */

import { element } from "./element.js";
import { rest, RestError } from "./rest.js";

/** @typedef {{is_active: boolean, url?: string}} Status */

export class Broadcast {
  /** @type {import("./prompts.js").Prompts} */ #prompts;
  #section = element("broadcast", HTMLElement);
  #form = element("broadcast-form", HTMLFormElement);
  #url = element("broadcast-url", HTMLInputElement);
  #button = element("broadcast-button", HTMLButtonElement);
  #state = element("broadcast-state", HTMLElement);
  /** @type {Status | null} null = the server has not said */ #status = null;

  /** @param {import("./prompts.js").Prompts} prompts */
  constructor(prompts) {
    this.#prompts = prompts;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#turn();
    });
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was for us alone
   */
  hear(event, payload) {
    if (event === "system/admin") this.#status = payload?.broadcast_status ?? null;
    if (event !== "broadcast/status") return false;
    this.#status = payload;
    return true;
  }

  /** @param {boolean} allowed whether we are an administrator */
  show(allowed) {
    const status = this.#status;
    this.#section.hidden = !allowed || status === null;
    if (status === null) return;
    this.#state.textContent = status.is_active ? "The room is being broadcast." : "The room is not broadcast.";
    this.#button.textContent = status.is_active ? "Stop" : "Start";
    this.#url.disabled = status.is_active;
    if (status.url && document.activeElement !== this.#url) this.#url.value = status.url;
  }

  async #turn() {
    this.#button.disabled = true;
    try {
      if (this.#status?.is_active) await rest("POST", "api/room/broadcast/stop");
      else await rest("POST", "api/room/broadcast/start", { url: this.#url.value.trim() });
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      this.#prompts.hint(`The broadcast: ${error.message}.`);
    } finally {
      this.#button.disabled = false;
    }
  }
}
