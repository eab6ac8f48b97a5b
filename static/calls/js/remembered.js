// @ts-check

/** What a caller chose, for the next call. Where the browser keeps nothing, nothing is kept. */
const PREFIX = "voice-call:";

/** @param {"microphone" | "speaker" | "volume"} name @returns {string} empty: nothing */
export function remembered(name) {
  try {
    return localStorage.getItem(PREFIX + name) ?? "";
  } catch {
    return "";
  }
}

/** @param {"microphone" | "speaker" | "volume"} name @param {string} value */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // A frame on another site has no storage.
  }
}
