/**
 * Small messages at the edge: a question that waits for an answer, or a hint that goes by itself.
 * @module
 */

import { element } from "./element.js";

/** Milliseconds a hint stays. */
const HINT_TIME = 6_000;
/** Milliseconds a question stays without an answer. */
const QUESTION_TIME = 60_000;
/** Most messages at a time; the oldest goes first. */
const MOST = 4;

/** @typedef {{label: string, primary?: boolean, act: () => void}} Answer */

export class Prompts {
  #place = element("prompts", HTMLElement);

  /** @param {string} text */
  hint(text) {
    this.#add(`hint ${text}`, text, [], HINT_TIME);
  }

  /**
   * @param {string} key a question with the same key is asked once
   * @param {string} text
   * @param {Answer[]} answers
   */
  ask(key, text, answers) {
    this.#add(key, text, answers, QUESTION_TIME);
  }

  /** @param {string} key */
  withdraw(key) {
    for (const card of [...this.#place.children]) if (card instanceof HTMLElement && card.dataset.key === key) card.remove();
  }

  clear() {
    this.#place.replaceChildren();
  }

  /**
   * @param {string} key
   * @param {string} text
   * @param {Answer[]} answers
   * @param {number} time milliseconds
   */
  #add(key, text, answers, time) {
    this.withdraw(key);
    const card = document.createElement("div");
    card.className = "prompt";
    card.dataset.key = key;
    const sentence = document.createElement("p");
    sentence.textContent = text;
    card.append(sentence);
    for (const answer of answers) card.append(button(answer, card));
    this.#place.append(card);
    while (this.#place.children.length > MOST) this.#place.firstElementChild?.remove();
    setTimeout(() => card.remove(), time);
  }
}

/**
 * @param {Answer} answer
 * @param {HTMLElement} card
 */
function button(answer, card) {
  const found = document.createElement("button");
  found.type = "button";
  found.className = answer.primary ? "button primary small" : "button small";
  found.textContent = answer.label;
  found.addEventListener("click", () => {
    card.remove();
    answer.act();
  });
  return found;
}
