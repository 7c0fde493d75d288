/**
 * Sending files with the progress of it, which `fetch` does not tell.
 * @module
 */

import { address, RestError } from "./rest.js";

/**
 * @param {string} path relative to the page
 * @param {FormData} form
 * @param {(part: number) => void} onProgress from 0 to 1
 * @returns {Promise<void>}
 * @throws {RestError}
 */
export function upload(path, form, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address(path));
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new RestError(0, "the connection broke, or the server refused in the middle"));
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(new RestError(request.status, messageOf(request.responseText) ?? request.statusText));
    };
    request.send(form);
  });
}

/** @param {string} text */
function messageOf(text) {
  try {
    const { message } = JSON.parse(text);
    return typeof message === "string" ? message : null;
  } catch {
    return null;
  }
}
