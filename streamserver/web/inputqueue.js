/**
 * Keeps input in order where some of it takes another way than the data channel: a paste goes by WebSocket or HTTP, and may
 * overtake the keys before it, or be overtaken by those behind it.
 * @module
 */

/** Most messages that wait. */
const MOST_WAITING = 200;
/** Milliseconds that one step may take; then what waits goes on without it. */
const PATIENCE = 2_000;

/** @typedef {{message: ArrayBuffer, spare: boolean} | {act: () => Promise<unknown>}} Waiting */

export class InputQueue {
  /** @type {Waiting[]} */ #waiting = [];
  #busy = false;
  #options;

  /**
   * @param {object} options
   * @param {() => boolean} options.open whether messages can be sent
   * @param {(message: ArrayBuffer) => void} options.send
   * @param {() => Promise<unknown>} options.settled resolves when all that was sent has been acted on
   */
  constructor(options) {
    this.#options = options;
  }

  /** Whether what comes now must wait for its turn. */
  get waits() {
    return this.#busy || this.#waiting.length > 0 || !this.#options.open();
  }

  /**
   * @param {ArrayBuffer} message
   * @param {boolean} spare the next spare one takes its place
   */
  hold(message, spare) {
    const last = this.#waiting.at(-1);
    if (spare && last !== undefined && "spare" in last && last.spare) last.message = message;
    else if (this.#waiting.length < MOST_WAITING) this.#waiting.push({ message, spare });
  }

  /**
   * Do something after what was sent before has been acted on; what comes later waits until it is done.
   * @param {() => Promise<unknown>} act resolves when it has been done there
   */
  inPlace(act) {
    this.#waiting.push({ act });
    if (this.#options.open()) void this.go();
    else this.forget();
  }

  /** Go on with what waits, now that messages can be sent. */
  async go() {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#options.open()) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      if ("message" in next) this.#options.send(next.message);
      else {
        await patiently(this.#options.settled);
        await patiently(next.act);
      }
    }
    this.#busy = false;
  }

  /** The way is gone: drop messages, and do the rest at once. */
  forget() {
    for (const next of this.#waiting.splice(0)) if ("act" in next) void patiently(next.act);
  }
}

/** @param {() => Promise<unknown>} step */
async function patiently(step) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, PATIENCE)));
  try {
    await Promise.race([step(), late]);
  } catch (error) {
    reportError(error);
  } finally {
    clearTimeout(timer);
  }
}
