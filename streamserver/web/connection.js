/**
 * How good the connection is: a sign in the bar, and a page of figures with the choice of quality.
 * @module
 */

import { element } from "./element.js";
import { compare, judge, look, rows, sentence } from "./figures.js";

/** Milliseconds between two looks: while somebody reads the figures, and otherwise. */
const OFTEN = 1_000;
const SELDOM = 4_000;

/** @typedef {import("./types.js").VideoStatus} VideoStatus */

/**
 * @typedef {object} ConnectionOptions
 * @property {() => Promise<RTCStatsReport | null>} report
 * @property {() => boolean} connected whether there is a path now
 * @property {() => boolean} looking whether somebody reads the figures
 * @property {(id: string | null) => void} choose a stream by its name; null = by itself
 */

export class Connection {
  /** @type {ConnectionOptions} */ #options;
  #toggle = element("connection-toggle", HTMLButtonElement);
  #label = element("connection-label", HTMLElement);
  #verdict = element("connection-verdict", HTMLElement);
  #figures = element("figures", HTMLDListElement);
  #choice = element("quality-choice", HTMLElement);
  #quality = element("quality", HTMLSelectElement);
  #now = element("quality-now", HTMLElement);
  /** @type {import("./figures.js").Look | null} */ #before = null;
  /** @type {import("./figures.js").Figures | null} */ #last = null;
  /** @type {VideoStatus | null} */ #status = null;
  /** @type {string[]} */ #videos = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  #wanted = "";

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
    this.#quality.addEventListener("change", () => {
      this.#wanted = this.#quality.value;
      options.choose(this.#wanted || null);
    });
    document.addEventListener("visibilitychange", () => void this.#look());
    void this.#look();
  }

  /** @param {string[]} videos the streams there are, best first */
  setVideos(videos) {
    this.#videos = videos;
    if (!videos.includes(this.#wanted)) this.#wanted = "";
    const names = videos.map((id) => new Option(id, id));
    this.#quality.replaceChildren(new Option("Automatic", ""), ...names);
    this.#quality.value = this.#wanted;
    this.#choice.hidden = videos.length < 2;
  }

  /** @param {VideoStatus} status what the server gives us now */
  setStatus(status) {
    this.#status = status;
    this.#showStatus();
  }

  /** Something about the connection, or who looks at it, has changed. */
  show() {
    const connected = this.#options.connected();
    if (!connected) this.#before = this.#last = null;
    const verdict = connected && this.#status?.paused ? "weak" : judge(connected, this.#last);
    this.#toggle.dataset.verdict = verdict;
    this.#label.textContent = sentence(verdict, this.#last);
    this.#toggle.title = this.#label.textContent;
    if (!this.#options.looking()) return;
    if (this.#timer !== undefined && this.#before === null && connected) void this.#look();
    this.#verdict.dataset.verdict = verdict;
    this.#verdict.textContent = this.#label.textContent;
    this.#figures.replaceChildren(...rows(this.#last).flatMap(([name, value]) => [cell("dt", name), cell("dd", value)]));
    this.#showStatus();
  }

  async #look() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (document.hidden) return;
    const looking = this.#options.looking();
    const report = this.#options.connected() ? await this.#options.report().catch(() => null) : null;
    const now = report === null ? null : look(report.values());
    this.#last = now !== null && this.#before !== null ? compare(this.#before, now) ?? this.#last : null;
    this.#before = now;
    this.show();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#look(), looking ? OFTEN : SELDOM);
  }

  #showStatus() {
    const id = this.#status?.id;
    const fixed = this.#wanted === "" && this.#status?.auto === false ? " This server does not adapt it." : "";
    this.#now.textContent = id && this.#videos.length > 1 ? `You get “${id}” now.${fixed}` : "";
  }
}

/**
 * @param {"dt" | "dd"} kind
 * @param {string} text
 */
function cell(kind, text) {
  const found = document.createElement(kind);
  found.textContent = text;
  return found;
}
