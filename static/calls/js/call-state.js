// @ts-check

/**
 * What a page shows of a call.
 *
 * @typedef {object} CallState
 * @property {"idle" | "connecting" | "live" | "reconnecting" | "ended"} stage
 * @property {import("./protocol.js").Phase} phase
 * @property {import("./protocol.js").Ready | null} ready what the server said at the beginning
 * @property {import("./protocol.js").Turns} turns
 * @property {boolean} muted
 * @property {boolean} talking the push-to-talk button is held
 * @property {import("./protocol.js").Tool[]} tools those that run
 * @property {import("./protocol.js").Turn | null} turn the last one whose latency is known
 * @property {{ code: string, message: string, count: number } | null} error the last one; count
 *   tells two of the same apart
 * @property {{ reason: string, message: string } | null} end reason of the protocol, or
 *   `connection_lost`, `unreachable`, or the code of a fatal error
 * @property {number} startedAt by the clock; 0 before
 * @property {number} endedAt by the clock; 0 before
 */

/** @type {CallState} */
export const IDLE = Object.freeze({
  stage: "idle",
  phase: "listening",
  ready: null,
  turns: "auto",
  muted: false,
  talking: false,
  tools: [],
  turn: null,
  error: null,
  end: null,
  startedAt: 0,
  endedAt: 0,
});

/** What a close code means when no error was sent before it. */
export const REASONS = /** @type {Record<number, string>} */ ({
  4400: "bad_message",
  4401: "unauthorized",
  4403: "unauthorized",
  4404: "no_such_agent",
  4409: "taken_over",
  4410: "ended",
  4440: "max_length",
  4441: "silence",
  4502: "provider_failed",
  4503: "busy",
});
