/**
 * The WebSocket to the server: envelopes, heartbeats, noticing silence, and coming back by itself.
 *
 * A hidden page sends nothing: no heartbeat, and no try to reconnect, so that a forgotten tab never wakes a sleeping
 * machine. It returns at once when it is seen again or the network is back.
 * @module
 */

import { farewell } from "./farewell.js";
import { retryDelay } from "./retry.js";

/** Milliseconds without any message after which the connection is dead; the server speaks every 10 s. */
export const LONGEST_SILENCE = 12_500;
/** Milliseconds between two looks at the silence. */
const CHECK_INTERVAL = 2_500;
/** Milliseconds a page that was frozen gives the messages that waited for it. */
const THAW_GRACE = 3_000;
/** Milliseconds until a connection that does not open is given up. */
const OPEN_TIMEOUT = 10_000;
/** The same for one that was tried before the server was heard of again. */
const HURRIED_OPEN_TIMEOUT = 1_000;
/** Most bytes waiting in the socket; beyond that messages are dropped, the connection is as good as dead. */
const MOST_BUFFERED = 1 << 20;

/**
 * @typedef {{kind: "connecting"} | {kind: "open"}
 *   | {kind: "reconnecting", why: string, attempt: number, since: number, next: number | null}
 *   | {kind: "ended", farewell: import("./farewell.js").Farewell}} SocketState
 * `since` and `next` are Date.now() milliseconds; `next` null = trying now, or when the page is seen again.
 */

/**
 * @typedef {object} SocketOptions
 * @property {URL} url
 * @property {(event: string, payload: any) => void} onEvent
 * @property {(state: SocketState) => void} onState
 * @property {() => Promise<boolean>} stillSignedIn asked when a connection does not open
 */

export class Socket {
  /** @type {SocketOptions} */ #options;
  /** @type {WebSocket | null} */ #socket = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #heartbeat;
  #wanted = false;
  #attempt = 0;
  /** @type {number | null} */ #lostAt = null;
  #why = "";
  #heardAt = 0;
  #lookedAt = 0;

  /** @param {SocketOptions} options */
  constructor(options) {
    this.#options = options;
    setInterval(() => this.#look(), CHECK_INTERVAL);
    addEventListener("online", () => this.#comeBack());
    addEventListener("pageshow", () => this.#comeBack());
    document.addEventListener("resume", () => this.#comeBack());
    document.addEventListener("visibilitychange", () => this.#comeBack());
    // A page that is closed says 1001 by itself; one kept for "back" would otherwise seem to be here.
    addEventListener("pagehide", (event) => event.persisted && this.#drop("this page was left", 1000));
  }

  /** Connect, and keep connected until `stop`. */
  start() {
    this.#wanted = true;
    this.#attempt = 0;
    this.#lostAt = null;
    this.#connect();
    this.#options.onState({ kind: "connecting" });
  }

  /** The server was just heard of by another way: try now in place of waiting for the next try. */
  hurry() {
    if (document.hidden || !this.#wanted || this.#lostAt === null) return;
    if (this.#socket === null) this.#retry();
    else if (this.#socket.readyState === WebSocket.CONNECTING) {
      // Perhaps it is just being answered, perhaps it was lost while the server was away.
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        this.#drop("the server does not answer");
        this.#retry();
      }, HURRIED_OPEN_TIMEOUT);
    }
  }

  /** Leave for good: the server learns at once that nobody is here (code 1000). */
  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#letGo(1000);
  }

  /**
   * @param {string} event
   * @param {unknown} [payload]
   * @returns {boolean} whether it was sent; messages are dropped while there is no connection
   */
  send(event, payload) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN || socket.bufferedAmount > MOST_BUFFERED) return false;
    socket.send(JSON.stringify(payload === undefined ? { event } : { event, payload }));
    return true;
  }

  /**
   * Send `client/heartbeat` regularly, while the page is seen.
   * @param {number} seconds 0 = never
   */
  beat(seconds) {
    clearInterval(this.#heartbeat);
    if (!(seconds > 0)) return;
    this.#heartbeat = setInterval(() => document.hidden || this.send("client/heartbeat"), seconds * 1000);
  }

  #connect() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#socket !== null) return;
    const url = new URL(this.#options.url);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(url);
    let opened = false;
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#drop("the server does not answer"), OPEN_TIMEOUT);
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      opened = true;
      clearTimeout(this.#timer);
      this.#heardAt = Date.now();
    };
    socket.onmessage = (message) => socket === this.#socket && this.#hear(message.data);
    socket.onclose = (event) => {
      if (socket !== this.#socket) return;
      if (opened) this.#drop(closeReason(event.code));
      else void this.#refused();
    };
  }

  /** @param {unknown} data */
  #hear(data) {
    this.#heardAt = Date.now();
    const message = parse(data);
    if (message === null) return;
    if (message.event === "system/disconnect") return this.#dismissed(String(message.payload?.message ?? ""));
    if (message.event === "system/init") {
      this.#attempt = 0;
      this.#lostAt = null;
      this.#options.onState({ kind: "open" });
    }
    this.#options.onEvent(message.event, message.payload);
  }

  /** @param {string} message */
  #dismissed(message) {
    const words = farewell(message);
    if (words.then === "retry") return this.#drop(words.detail);
    this.#end(words);
  }

  /** @param {import("./farewell.js").Farewell} words */
  #end(words) {
    this.stop();
    this.#options.onState({ kind: "ended", farewell: words });
  }

  /** The connection did not open: perhaps the session is over, perhaps the server is away. */
  async #refused() {
    const socket = this.#socket;
    const signedIn = await this.#options.stillSignedIn();
    if (socket !== this.#socket) return;
    if (signedIn) this.#drop("the server cannot be reached");
    else this.#end(farewell("session not found"));
  }

  /**
   * @param {string} why
   * @param {number} [code]
   */
  #drop(why, code) {
    this.#letGo(code);
    if (!this.#wanted) return;
    this.#attempt += 1;
    this.#lostAt ??= Date.now();
    this.#why = navigator.onLine ? why : "this device is offline";
    const delay = retryDelay(this.#attempt, Math.random());
    this.#report(document.hidden ? null : Date.now() + delay);
    if (!document.hidden) this.#timer = setTimeout(() => this.#retry(), delay);
  }

  #retry() {
    if (!this.#wanted) return;
    this.#report(null);
    this.#connect();
  }

  /** @param {number | null} next */
  #report(next) {
    const since = this.#lostAt ?? Date.now();
    this.#options.onState({ kind: "reconnecting", why: this.#why, attempt: this.#attempt, since, next });
  }

  /** @param {number} [code] */
  #letGo(code) {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    clearInterval(this.#heartbeat);
    socket?.close(code);
  }

  /** Seen again, or the network is back. */
  #comeBack() {
    if (document.hidden || !this.#wanted) return;
    if (this.#socket !== null) this.#look();
    else if (this.#lostAt === null) this.#connect();
    else this.#retry();
  }

  #look() {
    const now = Date.now();
    const wasFrozen = now - this.#lookedAt > 2 * CHECK_INTERVAL;
    this.#lookedAt = now;
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    if (wasFrozen) this.#heardAt = Math.max(this.#heardAt, now - LONGEST_SILENCE + THAW_GRACE);
    if (now - this.#heardAt > LONGEST_SILENCE) this.#drop("the server fell silent");
  }
}

/**
 * @param {unknown} data
 * @returns {import("./types.js").Envelope | null} null when it is not an envelope
 */
function parse(data) {
  try {
    const message = JSON.parse(String(data));
    return typeof message?.event === "string" ? message : null;
  } catch {
    return null;
  }
}

/** @param {number} code of the CloseEvent */
function closeReason(code) {
  switch (code) {
    case 1001:
    case 1012:
      return "the server is restarting";
    case 1009:
      return "a message was too large";
    case 1011:
      return "the server had an error";
    case 1006:
      return "the network connection was lost";
    default:
      return "the server closed the connection";
  }
}
