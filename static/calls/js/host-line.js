// @ts-check

/** Of the messages between the two pages; docs/embedding.md lists them. */
export const VERSION = 1;

/** What says nothing of the call may go to pages that have no name. */
const SAYS_NOTHING = new Set(["ready", "state", "start", "end", "error", "token-needed", "size", "close"]);

/**
 * The line from a frame to the page around it.
 *
 * That page proves by the browser that it may show the frame (frame-ancestors), so its own name is
 * taken from the browser where the server did not give it. Pages from a disk have none.
 */
export class HostLine {
  /** @type {string} as browsers name it in messages; empty: nobody is told anything */ #origin;

  /** @param {string} origin of the page around, as the server knows it; empty: it does not */
  constructor(origin) {
    const [around = ""] = Array.from(location.ancestorOrigins ?? []);
    const named = origin || around;
    this.#origin = named === "file://" ? "null" : named;
    if (self === parent) this.#origin = "";
  }

  /** The page around was opened from a disk. */
  get nameless() {
    return this.#origin === "null";
  }

  /**
   * @param {(type: string, message: Record<string, unknown>) => void} take
   * @param {AbortSignal} signal ends it
   */
  listen(take, signal) {
    addEventListener("message", ({ source, origin, data }) => {
      if (!this.#origin || source !== parent || origin !== this.#origin) return;
      if (data?.["voice-call"] === VERSION && typeof data.type === "string") take(data.type, data);
    }, { signal });
  }

  /** @param {string} type @param {Record<string, unknown>} [fields] */
  tell(type, fields = {}) {
    if (!this.#origin) return;
    const message = { "voice-call": VERSION, type, ...fields };
    if (!this.nameless) parent.postMessage(message, this.#origin);
    else if (SAYS_NOTHING.has(type)) parent.postMessage(message, "*");
  }
}
