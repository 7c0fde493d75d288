/**
 * A link for the shared browser: it opens there in a new tab, or in what the operator chose. For the one in control, where
 * the server says that it takes links.
 * @module
 */

import { element } from "./element.js";
import { rest, RestError } from "./rest.js";

/**
 * @typedef {object} LinkOptions
 * @property {() => boolean} allowed whether we are in control
 * @property {import("./prompts.js").Prompts} prompts
 */

export class Link {
  /** @type {LinkOptions} */ #options;
  #section = element("link", HTMLElement);
  #address = element("link-address", HTMLInputElement);
  #there = false;

  /** @param {LinkOptions} options */
  constructor(options) {
    this.#options = options;
    element("link-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#open();
    });
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was for us
   */
  hear(event, payload) {
    if (event !== "openinapp/init") return false;
    this.#there = Boolean(payload?.enabled);
    return true;
  }

  show() {
    this.#section.hidden = !this.#there || !this.#options.allowed();
  }

  async #open() {
    try {
      await rest("POST", "api/openinapp/openlink", { text: this.#address.value });
      this.#address.value = "";
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      this.#options.prompts.hint(`The link was not opened: ${error.message}.`);
    }
  }
}
