/**
 * Dragging a file in: onto the picture it goes to the page in the shared browser, for the one in control; otherwise, and
 * where the server does not take that, to the shared files. And the answer when the shared browser itself asks for a file.
 * @module
 */

import { element } from "./element.js";
import { rest, RestError } from "./rest.js";
import { upload } from "./upload.js";

/** Answers of a server that takes no drops: then the files are shared in place of it. */
const NO_DROPS = [400, 404, 405];

/**
 * @typedef {object} DropOptions
 * @property {() => boolean} active whether we are in control
 * @property {() => boolean} mayUpload whether we may share files
 * @property {(files: File[]) => Promise<void>} share
 * @property {(event: MouseEvent) => import("./types.js").Point} locate
 * @property {import("./prompts.js").Prompts} prompts
 */

export class Drop {
  /** @type {DropOptions} */ #options;
  #hint = element("drop-hint", HTMLElement);
  #stage = element("stage", HTMLElement);
  /** Elements the drag is in: it enters the inner one before it leaves the outer. */
  #depth = 0;

  /** @param {DropOptions} options */
  constructor(options) {
    this.#options = options;
    addEventListener("dragenter", (event) => this.#over(event, 1));
    addEventListener("dragleave", (event) => this.#over(event, -1));
    addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (event.dataTransfer !== null) event.dataTransfer.dropEffect = this.#possible(event) ? "copy" : "none";
    });
    addEventListener("drop", (event) => this.#dropped(event));
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @param {string | null} self
   * @returns {boolean} whether it was for us
   */
  hear(event, payload, self) {
    const { prompts } = this.#options;
    if (event === "file_chooser_dialog/opened") {
      if (payload?.id === self) {
        prompts.ask("file chooser", "The shared browser asks for a file.", [
          { label: "Choose files", primary: true, act: () => this.#choose() },
          { label: "Cancel", act: () => void this.#tell(rest("DELETE", "api/room/upload/dialog")) },
        ]);
      }
      return true;
    }
    if (event !== "file_chooser_dialog/closed") return false;
    prompts.withdraw("file chooser");
    return true;
  }

  #choose() {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    input.addEventListener("change", () => {
      const form = new FormData();
      for (const file of input.files ?? []) form.append("files", file, file.name);
      void this.#tell(upload("api/room/upload/dialog", form, () => undefined));
    });
    input.addEventListener("cancel", () => void this.#tell(rest("DELETE", "api/room/upload/dialog")));
    input.click();
  }

  /**
   * @param {DragEvent} event
   * @param {1 | -1} step
   */
  #over(event, step) {
    if (!hasFiles(event)) return;
    event.preventDefault();
    this.#depth = Math.max(0, this.#depth + step);
    this.#hint.hidden = this.#depth === 0;
    document.body.classList.toggle("dropping", this.#depth > 0);
    if (this.#depth === 0) return;
    this.#hint.textContent = this.#options.active()
      ? "Drop the file on the place in the shared browser that shall have it."
      : this.#options.mayUpload() ? "Drop the file to share it." : "You may not upload files here.";
  }

  /** @param {DragEvent} event */
  #possible(event) {
    return this.#options.mayUpload() || (this.#options.active() && this.#onPicture(event));
  }

  /** @param {DragEvent} event */
  #onPicture(event) {
    return event.target instanceof Node && this.#stage.contains(event.target);
  }

  /** @param {DragEvent} event */
  #dropped(event) {
    if (!hasFiles(event)) return;
    event.preventDefault();
    this.#depth = 0;
    this.#hint.hidden = true;
    document.body.classList.remove("dropping");
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length === 0) return;
    if (this.#options.active() && this.#onPicture(event)) void this.#give(files, this.#options.locate(event));
    else this.#share(files);
  }

  /**
   * @param {File[]} files
   * @param {import("./types.js").Point} point
   */
  async #give(files, point) {
    const form = new FormData();
    form.append("x", String(point.x));
    form.append("y", String(point.y));
    for (const file of files) form.append("files", file, file.name);
    try {
      await upload("api/room/upload/drop", form, () => undefined);
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      if (NO_DROPS.includes(error.status) && this.#options.mayUpload()) this.#share(files);
      else this.#options.prompts.hint(`The file was not taken: ${error.message}.`);
    }
  }

  /** @param {File[]} files */
  #share(files) {
    if (this.#options.mayUpload()) void this.#options.share(files);
    else this.#options.prompts.hint("You may not upload files here.");
  }

  /** @param {Promise<unknown>} request */
  async #tell(request) {
    try {
      await request;
    } catch (error) {
      if (!(error instanceof RestError)) throw error;
      this.#options.prompts.hint(`That did not work: ${error.message}.`);
    }
  }
}

/** @param {DragEvent} event */
function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}
