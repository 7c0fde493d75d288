/**
 * The WebRTC connection that brings the picture and the sound, and carries the input. The server offers, the page
 * answers. It watches `connectionState`, the only one that ever says "failed" (iceConnectionState stays at
 * "disconnected"), and mends what breaks: an ICE restart first, a new connection when that does not help.
 * @module
 */

import { withStereo } from "./answer.js";
import { decode, encodePing } from "./datachannel.js";
import { InputQueue } from "./inputqueue.js";
import { retryDelay } from "./retry.js";

/** Milliseconds until a connection that was asked for and is not up is asked for again. */
const CONNECT_TIMEOUT = 12_000;
/** Milliseconds an interrupted connection may mend itself before an ICE restart. */
const RESTART_AFTER = 3_000;
/** Milliseconds an ICE restart may take before a new connection is asked for. */
const RESTART_TIMEOUT = 4_000;
/** Milliseconds a connection may take to show that it outlived a lost WebSocket. */
const PROBE_TIMEOUT = 2_000;
/** Picture, sound and input share one path; it cannot be changed later. */
const BUNDLE_POLICY = "max-bundle";
/** Most bytes waiting in the data channel before movements are left out. */
const MOST_BUFFERED = 64 * 1024;

/** @typedef {"none" | "connecting" | "connected" | "interrupted"} PeerState */

/**
 * @typedef {object} PeerOptions
 * @property {(event: string, payload?: unknown) => boolean} send
 * @property {(stream: MediaStream) => void} onStream
 * @property {() => void} onEnding the stream ends; its last picture can still be taken
 * @property {(message: NonNullable<ReturnType<typeof decode>>) => void} onMessage from the data channel
 * @property {(state: PeerState, attempt: number) => void} onState
 * @property {(status: import("./types.js").VideoStatus) => void} onVideo which stream the server gives us
 * @property {() => void} onShared something of our own is sent, or no more
 */

export class Peer {
  /** @type {PeerOptions} */ #options;
  /** @type {RTCPeerConnection | null} */ #connection = null;
  /** @type {RTCPeerConnection | null} made in advance */ #prepared = null;
  /** @type {RTCDataChannel | null} */ #channel = null;
  /** Input that waits: for the channel to open, or for what must come before it. */
  #queue = new InputQueue({
    open: () => this.#channel?.readyState === "open",
    send: (message) => this.#channel?.send(message),
    settled: () => this.#settled(),
  });
  /** @type {(sent: number) => void} called with the time in each answer to a ping */ #answered = () => undefined;
  /** @type {RTCIceCandidateInit[]} candidates that came before their offer */ #early = [];
  /** @type {Promise<void>} negotiation, one step after the other */ #work = Promise.resolve();
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {PeerState} */ #state = "none";
  #wanted = false;
  /** @type {string | null} the stream that was chosen; null = by itself */ #quality = null;
  #attempt = 0;
  /** A new connection was asked for and is not provided yet: what comes meanwhile is not for the old one. */
  #awaiting = false;
  /** @type {Map<"audio" | "video", MediaStreamTrack>} what we send of our own */ #shared = new Map();

  /** @param {PeerOptions} options */
  constructor(options) {
    this.#options = options;
    document.addEventListener("visibilitychange", () => this.#seenAgain());
  }

  /** A picture will be wanted soon: make now what takes the browser 10 to 20 ms. */
  prepare() {
    if (this.#connection === null) this.#prepared ??= new RTCPeerConnection({ bundlePolicy: BUNDLE_POLICY });
  }

  /** Ask for a picture, and keep it until `close`. */
  start() {
    this.#wanted = true;
    this.#attempt = 0;
    this.#request();
  }

  /**
   * The WebSocket is back: keep the connection if it lives, else ask for a new one.
   * @param {boolean} serverHasIt whether the server counts us as watching
   */
  resume(serverHasIt) {
    const alive = this.#connection?.connectionState === "connected" && this.#channel?.readyState === "open";
    if (!this.#wanted || !serverHasIt || !alive) return this.start();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), PROBE_TIMEOUT);
    this.send(encodePing(Date.now()));
  }

  close() {
    this.#wanted = false;
    for (const track of this.#shared.values()) track.stop();
    this.#shared.clear();
    this.#prepared?.close();
    this.#prepared = null;
    this.#drop();
    this.#report("none");
  }

  /**
   * @param {string} event
   * @param {any} payload
   * @returns {boolean} whether it was a signal
   */
  hear(event, payload) {
    switch (event) {
      case "signal/video":
        this.#options.onVideo(payload);
        return true;
      case "signal/provide":
        if (payload.video !== undefined) this.#options.onVideo(payload.video);
        this.#step(() => this.#accept(payload));
        return true;
      case "signal/offer":
      case "signal/restart":
        if (!this.#awaiting) this.#step(() => this.#answer(this.#connection, payload.sdp));
        return true;
      case "signal/answer":
        this.#step(() => this.#settle(payload.sdp));
        return true;
      case "signal/candidate":
        this.#step(() => this.#candidate(payload));
        return true;
      case "signal/close":
        if (this.#wanted && this.#state !== "connecting") this.#again();
        return true;
      default:
        return event.startsWith("signal/");
    }
  }

  /**
   * Choose a stream, now and for connections to come.
   * @param {string | null} id null = the server chooses by what the connection can carry
   */
  choose(id) {
    this.#quality = id;
    this.#options.send("signal/video", this.#video);
  }

  /** What we want of the picture. */
  get #video() {
    return this.#quality === null ? { auto: true } : { auto: false, selector: { type: "exact", id: this.#quality } };
  }

  /**
   * Send our own sound or picture, now and on connections to come, or no more.
   * @param {"audio" | "video"} kind
   * @param {MediaStreamTrack | null} track
   */
  share(kind, track) {
    this.#shared.get(kind)?.stop();
    if (track === null) this.#shared.delete(kind);
    else {
      this.#shared.set(kind, track);
      track.addEventListener("ended", () => this.#shared.get(kind) === track && this.share(kind, null));
    }
    this.#options.onShared();
    this.#step(() => this.#propose());
  }

  /** @param {"audio" | "video"} kind */
  shares(kind) {
    return this.#shared.has(kind);
  }

  /** Statistics of the connection; null without one. */
  async report() {
    return (await this.#connection?.getStats()) ?? null;
  }

  /**
   * Send one message on the data channel. The picture may be there before the channel: what is typed then waits for it.
   * @param {ArrayBuffer} message
   * @param {boolean} [spare] leave it out when the channel is behind: a newer one will follow
   */
  send(message, spare = false) {
    const channel = this.#channel;
    if (channel !== null && !this.#queue.waits) {
      if (!spare || channel.bufferedAmount <= MOST_BUFFERED) channel.send(message);
    } else if (this.#state === "connected") this.#queue.hold(message, spare);
  }

  /**
   * Do something that takes another way in its place among the input.
   * @param {() => Promise<unknown>} act resolves when it has been done there
   */
  inPlace(act) {
    this.#queue.inPlace(act);
  }

  /** Resolves when all input so far has been acted on: the answer to a ping comes after it. */
  #settled() {
    const now = Date.now();
    const settled = new Promise((resolve) => (this.#answered = (sent) => sent >= now && resolve(undefined)));
    this.#channel?.send(encodePing(now));
    return settled;
  }

  /** The old connection, if any, lives on until the new one is provided: it may mend itself first. */
  #request() {
    clearTimeout(this.#timer);
    if (!this.#wanted) return;
    this.#attempt += 1;
    this.#report("connecting");
    // Without a WebSocket nothing was asked: `resume` comes when it is back.
    if (!this.#options.send("signal/request", { video: this.#video, audio: {} })) return;
    this.#awaiting = true;
    this.#timer = setTimeout(() => this.#request(), CONNECT_TIMEOUT);
  }

  /** Ask anew after a pause that grows. */
  #again() {
    clearTimeout(this.#timer);
    this.#drop();
    this.#report("connecting");
    this.#timer = setTimeout(() => this.#request(), retryDelay(this.#attempt + 1, Math.random()));
  }

  /**
   * @param {() => Promise<void>} action
   */
  #step(action) {
    this.#work = this.#work.then(action).catch((error) => {
      console.warn("negotiation failed:", error);
      if (this.#wanted) this.#again();
    });
  }

  /** @param {import("./types.js").SignalProvide} provide */
  async #accept(provide) {
    if (!this.#wanted) return;
    this.#awaiting = false;
    const early = this.#early.splice(0);
    this.#drop();
    this.prepare();
    const connection = /** @type {RTCPeerConnection} */ (this.#prepared);
    this.#prepared = null;
    this.#connection = connection;
    const iceServers = provide.iceservers ?? [];
    if (iceServers.length > 0) connection.setConfiguration({ iceServers, bundlePolicy: BUNDLE_POLICY });
    const current = () => connection === this.#connection;
    connection.ontrack = ({ streams, track }) => current() && this.#options.onStream(streams[0] ?? new MediaStream([track]));
    connection.ondatachannel = ({ channel }) => current() && this.#open(channel);
    connection.onicecandidate = ({ candidate }) => current() && candidate && this.#options.send("signal/candidate", candidate.toJSON());
    connection.onconnectionstatechange = () => current() && this.#changed(connection.connectionState);
    this.#timer = setTimeout(() => this.#request(), CONNECT_TIMEOUT);
    await this.#answer(connection, provide.sdp);
    for (const candidate of early) await this.#candidate(candidate);
  }

  /**
   * @param {RTCPeerConnection | null} connection
   * @param {string} sdp
   */
  async #answer(connection, sdp) {
    if (connection === null || connection !== this.#connection) return;
    await connection.setRemoteDescription({ type: "offer", sdp });
    const answer = await connection.createAnswer();
    if (connection !== this.#connection) return;
    const ours = withStereo(answer.sdp ?? "");
    // The server takes it while the browser does: the browser's addresses come later anyway.
    const taken = connection.setLocalDescription({ type: "answer", sdp: ours });
    this.#options.send("signal/answer", { sdp: ours });
    await taken;
    await this.#propose();
  }

  /** Offer to send what is shared and nothing else, if that is not what was agreed upon. */
  async #propose() {
    const connection = this.#connection;
    if (connection === null || this.#awaiting || connection.signalingState !== "stable") return;
    let changed = false;
    for (const transceiver of connection.getTransceivers()) {
      const kind = transceiver.receiver.track.kind === "audio" ? "audio" : "video";
      const track = this.#shared.get(kind) ?? null;
      if (transceiver.currentDirection === null || transceiver.sender.track === track) continue;
      await transceiver.sender.replaceTrack(track);
      transceiver.direction = track === null ? "recvonly" : "sendrecv";
      changed ||= transceiver.direction !== transceiver.currentDirection;
    }
    if (!changed || connection !== this.#connection) return;
    const offer = await connection.createOffer();
    await connection.setLocalDescription(offer);
    this.#options.send("signal/offer", { sdp: offer.sdp });
  }

  /**
   * The server has answered an offer of ours.
   * @param {string} sdp
   */
  async #settle(sdp) {
    const connection = this.#connection;
    if (connection === null || connection.signalingState !== "have-local-offer") return;
    await connection.setRemoteDescription({ type: "answer", sdp });
    await this.#propose();
  }

  /** @param {RTCIceCandidateInit} candidate */
  async #candidate(candidate) {
    if (this.#awaiting || this.#connection === null) this.#early.push(candidate);
    // A candidate the browser does not understand is no reason to fail: there are others.
    else await this.#connection.addIceCandidate(candidate).catch(() => undefined);
  }

  /** @param {RTCDataChannel} channel */
  #open(channel) {
    if (channel.label !== "data") return;
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }) => {
      if (channel !== this.#channel || !(data instanceof ArrayBuffer)) return;
      const message = decode(data);
      if (message === null) return;
      // Any word over a connected path proves it lives.
      if (message.type === "pong" && this.#state === "connected") clearTimeout(this.#timer);
      if (message.type === "pong") this.#answered(message.sent);
      this.#options.onMessage(message);
    };
    channel.onopen = () => channel === this.#channel && void this.#queue.go();
    this.#channel = channel;
    if (channel.readyState === "open") void this.#queue.go();
  }

  /** @param {RTCPeerConnectionState} state */
  #changed(state) {
    if (state === "connected") {
      clearTimeout(this.#timer);
      this.#attempt = 0;
      this.#report("connected");
    } else if (state === "disconnected") {
      this.#report("interrupted");
      this.#mend(RESTART_AFTER);
    } else if (state === "failed") {
      this.#report("interrupted");
      this.#mend(0);
    }
  }

  /**
   * Ask for an ICE restart after a while, and for a new connection when the old one has failed and stays so.
   * @param {number} delay milliseconds
   */
  #mend(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // A page nobody sees wakes no machine; `#seenAgain` goes on.
      if (document.hidden || !this.#options.send("signal/restart")) return;
      if (this.#connection?.connectionState !== "failed") return;
      this.#timer = setTimeout(() => this.#request(), RESTART_TIMEOUT);
    }, delay);
  }

  #seenAgain() {
    if (!document.hidden && this.#wanted && this.#state === "interrupted") this.#mend(0);
  }

  #drop() {
    clearTimeout(this.#timer);
    if (this.#connection !== null) this.#options.onEnding();
    this.#connection?.close();
    this.#connection = null;
    this.#channel = null;
    this.#awaiting = false;
    this.#early = [];
    this.#queue.forget();
  }

  /** @param {PeerState} state */
  #report(state) {
    this.#state = state;
    this.#options.onState(state, this.#attempt);
  }
}
