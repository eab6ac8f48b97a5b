// @ts-check

/** Going back from so shortly behind a start means the item before it. */
const JUST_BEGUN_MS = 500;

/** @typedef {{element: HTMLElement, atMs: number}} Word */
/** @typedef {{element: HTMLElement, startMs: number, endMs: number, words: Word[]}} Entry */

/** @param {HTMLElement} element */
const entryOf = (element) => ({
  element,
  startMs: Number(element.dataset.start),
  endMs: Number(element.dataset.end),
  words: [.../** @type {NodeListOf<HTMLElement>} */ (element.querySelectorAll(".words [data-ms]"))].map(
    (word) => ({ element: word, atMs: Number(word.dataset.ms) }),
  ),
});

/** The words on the page, and which of them are being said. */
export class Transcript {
  /** @type {Entry[]} */ #entries;
  /** @type {Set<HTMLElement>} */ #marked = new Set();
  #followed = -1;
  follow = true;

  /** @param {Element} root holds the items */
  constructor(root) {
    /** @type {NodeListOf<HTMLElement>} */ const items = root.querySelectorAll(".entry");
    this.#entries = [...items].map(entryOf);
  }

  /** Where the caller interrupted, in milliseconds. */
  get cuts() {
    const cut = this.#entries.filter(({ element }) => element.matches(".agent.is-interrupted"));
    return cut.map((entry) => entry.endMs);
  }

  /**
   * Mark what is said at a place of the call, and bring it into view.
   *
   * @param {number} ms
   * @param {boolean} moving whether it goes on from there by itself
   */
  show(ms, moving) {
    const marked = new Set();
    let latest = -1;
    this.#entries.forEach((entry, index) => {
      if (ms < entry.startMs || ms > entry.endMs) return;
      latest = index;
      marked.add(entry.element);
      const word = entry.words.filter((one) => one.atMs <= ms).at(-1);
      if (word) marked.add(word.element);
    });
    for (const element of this.#marked) {
      if (!marked.has(element)) element.classList.remove("current", "now");
    }
    for (const element of marked) {
      element.classList.add(element.matches(".entry") ? "current" : "now");
    }
    this.#marked = marked;
    if (moving && this.follow && latest >= 0 && latest !== this.#followed) this.#bring(latest);
  }

  /**
   * The start of the item before or after a place of the call.
   *
   * @param {number} ms
   * @param {1 | -1} direction
   * @returns {number | undefined}
   */
  neighbour(ms, direction) {
    const starts = this.#entries.map((entry) => entry.startMs).sort((a, b) => a - b);
    if (direction > 0) return starts.find((start) => start > ms);
    return starts.filter((start) => start < ms - JUST_BEGUN_MS).at(-1);
  }

  /** @param {number} index */
  #bring(index) {
    this.#followed = index;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#entries[index]?.element.scrollIntoView({
      block: "nearest",
      behavior: calm ? "auto" : "smooth",
    });
  }
}
