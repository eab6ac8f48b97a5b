// @ts-check

/**
 * A place in the call: minutes and seconds, hours where there are any.
 *
 * @param {number} ms milliseconds from the beginning
 */
export function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  const pad = (/** @type {number} */ part) => String(part).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const rest = pad(seconds % 60);
  return hours ? `${hours}:${pad(minutes)}:${rest}` : `${minutes}:${rest}`;
}
