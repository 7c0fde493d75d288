/**
 * The files that the shared browser and the people share: a list, up, down, and away.
 * @module
 */

import { element } from "./element.js";
import { address, rest, RestError } from "./rest.js";
import { size } from "./size.js";
import { upload } from "./upload.js";

/** @typedef {{name: string, type: "file" | "dir", size?: number}} Entry */
/** @typedef {{enabled: boolean, user_download: boolean, user_upload: boolean, user_delete: boolean, files: Entry[] | null}} Update */

/** Milliseconds a finished upload stays in the list. */
const DONE_TIME = 4_000;

/**
 * @typedef {object} FilesOptions
 * @property {import("./room.js").Room} room
 * @property {import("./prompts.js").Prompts} prompts
 * @property {() => void} changed
 */

export class Files {
  /** @type {FilesOptions} */ #options;
  #list = element("files-list", HTMLUListElement);
  #uploads = element("uploads", HTMLUListElement);
  #empty = element("files-empty", HTMLElement);
  #button = element("files-upload", HTMLButtonElement);
  #input = element("files-input", HTMLInputElement);
  #hint = element("files-hint", HTMLElement);
  /** @type {Update | null} */ #known = null;
  #drawn = "";

  /** @param {FilesOptions} options */
  constructor(options) {
    this.#options = options;
    this.#button.addEventListener("click", () => this.#input.click());
    this.#input.addEventListener("change", () => {
      void this.take([...(this.#input.files ?? [])]);
      this.#input.value = "";
    });
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was about files
   */
  hear(event, payload) {
    if (event !== "filetransfer/update") return false;
    this.#known = payload;
    this.#options.changed();
    return true;
  }

  /** Whether there is a file transfer for us. */
  get isThere() {
    return Boolean(this.#known?.enabled);
  }

  /** Whether we may put files there. */
  get mayUpload() {
    return this.#may("user_upload");
  }

  forget() {
    this.#known = null;
  }

  show() {
    const drawn = JSON.stringify([this.#known, this.#may("user_download"), this.#may("user_delete"), this.mayUpload]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const files = this.#known?.files ?? [];
    this.#list.replaceChildren(...files.map((entry) => this.#row(entry)));
    this.#empty.hidden = files.length > 0;
    this.#button.hidden = this.#hint.hidden = !this.mayUpload;
  }

  /**
   * Put files there, one after the other.
   * @param {File[]} files
   */
  async take(files) {
    for (const file of files) await this.#send(file);
  }

  /** @param {"user_download" | "user_upload" | "user_delete"} right */
  #may(right) {
    return this.isThere && Boolean(this.#known?.[right] || this.#options.room.me?.profile.is_admin);
  }

  /** @param {File} file */
  async #send(file) {
    const row = progressRow(file.name);
    this.#uploads.append(row.item);
    const form = new FormData();
    form.append("files", file, file.name);
    try {
      await upload("api/filetransfer", form, row.progress);
      row.say("uploaded");
      setTimeout(() => row.item.remove(), DONE_TIME);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      row.item.remove();
      this.#options.prompts.hint(`${file.name} was not uploaded: ${error.message}.`);
    }
  }

  /** @param {Entry} entry */
  #row(entry) {
    const item = document.createElement("li");
    const text = document.createElement("div");
    text.className = "person-text";
    const about = document.createElement("span");
    about.className = "quiet";
    about.textContent = entry.type === "dir" ? "folder" : size(entry.size ?? 0);
    text.append(this.#title(entry), about);
    item.append(text);
    if (entry.type === "file" && this.#may("user_delete")) item.append(this.#remover(entry.name));
    return item;
  }

  /** @param {Entry} entry */
  #title(entry) {
    if (entry.type === "dir" || !this.#may("user_download")) {
      const name = document.createElement("span");
      name.className = "person";
      name.textContent = entry.name;
      return name;
    }
    const link = document.createElement("a");
    link.className = "person";
    link.textContent = entry.name;
    link.title = entry.name;
    link.download = entry.name;
    link.href = fileAddress(entry.name).href;
    return link;
  }

  /** @param {string} name */
  #remover(name) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button small";
    button.textContent = "Delete";
    button.setAttribute("aria-label", `Delete ${name}`);
    button.addEventListener("click", () =>
      this.#options.prompts.ask(`delete ${name}`, `Delete ${name}?`, [
        { label: "Delete it", primary: true, act: () => void this.#remove(name) },
        { label: "Keep it", act: () => undefined },
      ]));
    return button;
  }

  /** @param {string} name */
  async #remove(name) {
    try {
      await rest("DELETE", `api/filetransfer?filename=${encodeURIComponent(name)}`);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      this.#options.prompts.hint(`${name} was not deleted: ${error.message}.`);
    }
  }
}

/** @param {string} name */
function fileAddress(name) {
  const found = address("api/filetransfer");
  found.searchParams.set("filename", name);
  return found;
}

/** @param {string} name */
function progressRow(name) {
  const item = document.createElement("li");
  const text = document.createElement("div");
  text.className = "person-text";
  const title = document.createElement("span");
  title.className = "person";
  title.textContent = name;
  const bar = document.createElement("progress");
  bar.max = 1;
  bar.setAttribute("aria-label", `Upload of ${name}`);
  text.append(title, bar);
  item.append(text);
  return {
    item,
    /** @param {number} part */
    progress: (part) => {
      bar.value = part;
    },
    /** @param {string} word */
    say: (word) => {
      const done = document.createElement("span");
      done.className = "quiet";
      done.textContent = word;
      bar.replaceWith(done);
    },
  };
}
