/**
 * The side panel: people, chat, files, settings, connection; one at a time. It lies beside the picture on wide screens
 * and over it on phones.
 * @module
 */

import { element } from "./element.js";

/** @typedef {"people" | "chat" | "files" | "settings" | "connection"} Page */

/** @type {Page[]} in the order of their tabs */
const PAGES = ["people", "chat", "files", "settings", "connection"];

export class Panel {
  #panel = element("panel", HTMLElement);
  /** @type {() => void} */ #changed;
  /** @type {Page} */ #page = "people";
  /** @type {HTMLElement | null} what had the focus when it opened, to give it back */ #opener = null;

  /** @param {() => void} changed it was opened or closed, or shows another page */
  constructor(changed) {
    this.#changed = changed;
    for (const page of PAGES) {
      tab(page).addEventListener("click", () => this.open(page));
    }
    element("tabs", HTMLElement).addEventListener("keydown", (event) => this.#walk(event));
    element("panel-close", HTMLButtonElement).addEventListener("click", () => this.#leave());
    this.#panel.addEventListener("keydown", (event) => event.key === "Escape" && this.#leave());
    const people = element("people-toggle", HTMLButtonElement);
    people.addEventListener("click", () => {
      if (this.isOpen && this.#page !== "connection") this.close();
      else if (!element("bar-unread", HTMLElement).hidden) this.open("chat", people);
      else this.open(this.#page === "connection" ? "people" : this.#page, people);
    });
    const connection = element("connection-toggle", HTMLButtonElement);
    connection.addEventListener("click", () => (this.shows("connection") ? this.close() : this.open("connection", connection)));
  }

  /**
   * @param {Page} page
   * @param {HTMLElement} [opener] gets the focus back
   */
  open(page, opener) {
    if (opener !== undefined) this.#opener = opener;
    this.#page = page;
    this.#panel.hidden = false;
    for (const other of PAGES) {
      const chosen = other === page;
      tab(other).setAttribute("aria-selected", String(chosen));
      tab(other).tabIndex = chosen ? 0 : -1;
      element(other, HTMLElement).hidden = !chosen;
    }
    this.#told();
  }

  close() {
    if (!this.isOpen) return;
    this.#panel.hidden = true;
    this.#told();
  }

  get isOpen() {
    return !this.#panel.hidden;
  }

  /**
   * Whether somebody has this page before them.
   * @param {Page} page
   */
  shows(page) {
    return this.isOpen && this.#page === page;
  }

  /**
   * Whether there is such a page now.
   * @param {Page} page
   * @param {boolean} there
   */
  offer(page, there) {
    if (tab(page).hidden === !there) return;
    tab(page).hidden = !there;
    if (!there && this.shows(page)) this.open("people");
  }

  #leave() {
    this.close();
    const opener = this.#opener ?? element("people-toggle", HTMLButtonElement);
    opener.focus();
  }

  #told() {
    document.body.classList.toggle("with-panel", this.isOpen);
    element("people-toggle", HTMLButtonElement).setAttribute("aria-expanded", String(this.isOpen));
    element("connection-toggle", HTMLButtonElement).setAttribute("aria-expanded", String(this.shows("connection")));
    this.#changed();
  }

  /**
   * Arrows, Home and End go from tab to tab.
   * @param {KeyboardEvent} event
   */
  #walk(event) {
    const there = PAGES.filter((page) => !tab(page).hidden);
    const at = there.indexOf(this.#page);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: there.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const page = there[(to + there.length) % there.length];
    if (page === undefined) return;
    this.open(page);
    tab(page).focus();
  }
}

/** @param {Page} page */
function tab(page) {
  return element(`tab-${page}`, HTMLButtonElement);
}
