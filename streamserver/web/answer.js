/**
 * What the page changes in its answer (SDP). Pure.
 * @module
 */

/**
 * Ask for stereo: a browser that does not say so in its own description plays Opus in one channel (RFC 7587, 6.1).
 * @param {string} sdp
 * @returns {string}
 */
export function withStereo(sdp) {
  let changed = sdp;
  for (const [line, type] of sdp.matchAll(/^a=rtpmap:(\d+) opus\/48000\/2\r?$/gim)) {
    const format = new RegExp(`^(a=fmtp:${type} )(?!.*\\bstereo=)`, "m");
    if (format.test(changed)) changed = changed.replace(format, "$1stereo=1;");
    else if (!changed.includes(`a=fmtp:${type} `)) changed = changed.replace(line, `${line.trimEnd()}\r\na=fmtp:${type} stereo=1${line.endsWith("\r") ? "\r" : ""}`);
  }
  return changed;
}
