/**
 * Figures of the connection from two looks at its statistics (W3C webrtc-stats), and what they mean. Pure.
 * @module
 */

import { rate } from "./size.js";

/**
 * What is read at one moment; times in seconds.
 * @typedef {object} Look
 * @property {number} at
 * @property {number} bytes of picture and sound received so far
 * @property {number} packets of the picture received so far
 * @property {number} lost packets of it so far
 * @property {number} frames decoded so far
 * @property {number} dropped frames so far
 * @property {number} waited sum of the time that frames waited in the jitter buffer
 * @property {number} emitted frames that left it
 * @property {number} frozen sum of the time that the picture stood still too long
 * @property {number | null} roundTrip
 * @property {number} width
 * @property {number} height
 * @property {string} codec
 */

/**
 * What happened between two looks.
 * @typedef {object} Figures
 * @property {number} rate bit/s
 * @property {number} loss part of the packets, 0 to 1
 * @property {number | null} roundTrip seconds
 * @property {number} fps frames decoded per second
 * @property {number} dropped frames per second
 * @property {number | null} buffer seconds a frame waited; null when none came
 * @property {number} frozen part of the time
 * @property {number} width
 * @property {number} height
 * @property {string} codec
 */

/** @typedef {"good" | "weak" | "lost"} Verdict */

const WEAK_LOSS = 0.03;
/** Seconds. */
const WEAK_ROUND_TRIP = 0.3;
const WEAK_BUFFER = 0.4;
const WEAK_FROZEN = 0.15;

/**
 * @param {Iterable<any>} report the values of an RTCStatsReport
 * @returns {Look | null} null while no picture is received
 */
export function look(report) {
  /** @type {Map<string, any>} */
  const byId = new Map();
  for (const entry of report) byId.set(entry.id, entry);
  const inbound = [...byId.values()].filter((entry) => entry.type === "inbound-rtp");
  const video = inbound.find((entry) => entry.kind === "video");
  if (video === undefined) return null;
  const transport = [...byId.values()].find((entry) => entry.type === "transport");
  const pair = byId.get(transport?.selectedCandidatePairId ?? "")
    ?? [...byId.values()].find((entry) => entry.type === "candidate-pair" && (entry.selected || entry.nominated) && entry.state === "succeeded");
  return {
    at: video.timestamp / 1000,
    bytes: inbound.reduce((sum, entry) => sum + (entry.bytesReceived ?? 0), 0),
    packets: video.packetsReceived ?? 0,
    lost: video.packetsLost ?? 0,
    frames: video.framesDecoded ?? 0,
    dropped: video.framesDropped ?? 0,
    waited: video.jitterBufferDelay ?? 0,
    emitted: video.jitterBufferEmittedCount ?? 0,
    frozen: video.totalFreezesDuration ?? 0,
    roundTrip: pair?.currentRoundTripTime ?? null,
    width: video.frameWidth ?? 0,
    height: video.frameHeight ?? 0,
    codec: String(byId.get(video.codecId)?.mimeType ?? "").replace(/^video\//, ""),
  };
}

/**
 * @param {Look} before
 * @param {Look} now
 * @returns {Figures | null} null when nothing can be said: no time passed, or it is another connection
 */
export function compare(before, now) {
  const seconds = now.at - before.at;
  if (seconds <= 0 || now.packets < before.packets || now.frames < before.frames) return null;
  // A packet that comes late after all is taken back from the lost ones.
  const lost = Math.max(0, now.lost - before.lost);
  const expected = now.packets - before.packets + lost;
  const emitted = now.emitted - before.emitted;
  return {
    rate: ((now.bytes - before.bytes) * 8) / seconds,
    loss: expected > 0 ? lost / expected : 0,
    roundTrip: now.roundTrip,
    fps: (now.frames - before.frames) / seconds,
    dropped: Math.max(0, now.dropped - before.dropped) / seconds,
    buffer: emitted > 0 ? (now.waited - before.waited) / emitted : null,
    frozen: Math.min(1, Math.max(0, now.frozen - before.frozen) / seconds),
    width: now.width,
    height: now.height,
    codec: now.codec,
  };
}

/**
 * @param {boolean} connected whether picture and input have a path now
 * @param {Figures | null} figures
 * @returns {Verdict} a quiet picture has few frames and little rate: neither says anything
 */
export function judge(connected, figures) {
  if (!connected) return "lost";
  if (figures === null) return "good";
  const weak = figures.loss > WEAK_LOSS || (figures.roundTrip ?? 0) > WEAK_ROUND_TRIP || (figures.buffer ?? 0) > WEAK_BUFFER || figures.frozen > WEAK_FROZEN;
  return weak ? "weak" : "good";
}

/** @type {Record<Verdict, string>} */
const SENTENCES = {
  good: "The connection is good.",
  weak: "The connection is weak.",
  lost: "The connection is lost.",
};

/**
 * @param {Verdict} verdict
 * @param {Figures | null} figures
 * @returns {string} with the reason, when it is weak
 */
export function sentence(verdict, figures) {
  if (verdict !== "weak" || figures === null) return SENTENCES[verdict];
  if (figures.loss > WEAK_LOSS) return `${SENTENCES.weak} ${percent(figures.loss)} of the picture's packets are lost.`;
  if ((figures.roundTrip ?? 0) > WEAK_ROUND_TRIP) return `${SENTENCES.weak} It takes ${milliseconds(figures.roundTrip)} there and back.`;
  if (figures.frozen > WEAK_FROZEN) return `${SENTENCES.weak} The picture stands still now and then.`;
  return `${SENTENCES.weak} The picture is held back ${milliseconds(figures.buffer)}, to be smooth.`;
}

/**
 * The figures by name, for people.
 * @param {Figures | null} figures
 * @returns {[string, string][]}
 */
export function rows(figures) {
  if (figures === null) return [];
  return [
    ["Rate", rate(figures.rate)],
    ["Lost packets", percent(figures.loss)],
    ["Round trip", milliseconds(figures.roundTrip)],
    ["Frames decoded", `${Math.round(figures.fps)} per second`],
    ["Frames dropped", `${Math.round(figures.dropped)} per second`],
    ["Jitter buffer", milliseconds(figures.buffer)],
    ["Picture", figures.width > 0 ? `${figures.width} × ${figures.height}${figures.codec ? `, ${figures.codec}` : ""}` : "none yet"],
  ];
}

/** @param {number} part */
function percent(part) {
  return `${(part * 100).toFixed(part > 0 && part < 0.1 ? 1 : 0)} %`;
}

/** @param {number | null} seconds */
function milliseconds(seconds) {
  return seconds === null ? "unknown" : `${Math.round(seconds * 1000)} ms`;
}
