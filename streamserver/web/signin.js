/**
 * The sign-in form.
 * @module
 */

import { element } from "./element.js";
import { explainLoginFailure, login } from "./session.js";

export class SignIn {
  #section = element("sign-in", HTMLElement);
  #form = element("sign-in-form", HTMLFormElement);
  #username = element("username", HTMLInputElement);
  #password = element("password", HTMLInputElement);
  #submit = element("sign-in-submit", HTMLButtonElement);
  #error = element("sign-in-error", HTMLElement);
  #note = element("sign-in-note", HTMLElement);

  /**
   * @param {(busy: boolean) => void} onBusy signing in began or failed
   * @param {() => void} onSignedIn
   * @param {() => void} onFilling somebody fills the form in
   */
  constructor(onBusy, onSignedIn, onFilling) {
    this.#form.addEventListener("input", onFilling);
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#signIn(onBusy, onSignedIn);
    });
  }

  /** @param {string} note why one is here again; empty = none */
  show(note) {
    this.#note.textContent = note;
    this.#note.hidden = note === "";
    this.#error.textContent = "";
    this.#section.hidden = false;
    (this.#username.value === "" ? this.#username : this.#password).focus();
  }

  hide() {
    this.#section.hidden = true;
  }

  /**
   * @param {(busy: boolean) => void} onBusy
   * @param {() => void} onSignedIn
   */
  async #signIn(onBusy, onSignedIn) {
    if (this.#submit.disabled) return;
    const username = this.#username.value.trim();
    if (username === "") return this.#refuse("Enter a name, so that the others know you.", this.#username);
    this.#error.textContent = "";
    const answer = login(username, this.#password.value); // on its way while the page is drawn
    this.#busy(true);
    onBusy(true);
    try {
      await answer;
      this.#password.value = "";
      this.hide();
      onSignedIn();
    } catch (error) {
      onBusy(false);
      this.#refuse(explainLoginFailure(error), this.#password);
    } finally {
      this.#busy(false);
    }
  }

  /** @param {boolean} busy */
  #busy(busy) {
    this.#submit.disabled = busy;
    this.#submit.textContent = busy ? "Signing in…" : "Sign in";
    this.#form.setAttribute("aria-busy", String(busy));
  }

  /**
   * @param {string} why
   * @param {HTMLInputElement} field
   */
  #refuse(why, field) {
    this.#error.textContent = why;
    field.focus();
    field.select();
  }
}
