/**
 * The card over the picture while there is something to wait for or to decide, and the voice for screen readers.
 * @module
 */

import { element } from "./element.js";
import { describeTries } from "./status.js";

export class Notice {
  #section = element("notice", HTMLElement);
  #title = element("notice-title", HTMLElement);
  #detail = element("notice-detail", HTMLElement);
  #count = element("notice-count", HTMLElement);
  #progress = element("notice-progress", HTMLElement);
  #action = element("notice-action", HTMLButtonElement);
  #signOut = element("notice-sign-out", HTMLButtonElement);
  #announcer = element("announcer", HTMLElement);

  /**
   * @param {() => void} onAction
   * @param {() => void} onSignOut
   */
  constructor(onAction, onSignOut) {
    this.#action.addEventListener("click", onAction);
    this.#signOut.addEventListener("click", onSignOut);
  }

  /** @param {import("./status.js").Status} status */
  show(status) {
    if (this.#announcer.textContent !== status.sentence) this.#announcer.textContent = status.sentence;
    const { notice } = status;
    const had = this.#section.contains(document.activeElement);
    this.#section.hidden = notice === null;
    if (notice === null) return;
    this.#title.textContent = notice.title;
    this.#detail.textContent = notice.detail;
    this.#progress.hidden = !notice.busy;
    this.#action.hidden = notice.action === null;
    this.#action.textContent = notice.action ?? "";
    this.#signOut.hidden = status.kind !== "ended";
    if (notice.action !== null && !had) this.#action.focus();
  }

  /** @param {import("./status.js").Situation["lost"] | null} lost null = no count */
  count(lost) {
    this.#count.textContent = lost === null ? "" : describeTries(lost, Date.now());
  }
}
