// @ts-check

/**
 * Time, as the parts without a page see it. Tests bring their own.
 *
 * @typedef {object} Clock
 * @property {() => number} now milliseconds since some moment; never goes back
 * @property {(ms: number, action: () => void) => () => void} after do it once, later; what comes
 *   back calls it off
 */

/** @type {Clock} */
export const PAGE_CLOCK = {
  now: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
};
