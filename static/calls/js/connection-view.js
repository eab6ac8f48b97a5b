// @ts-check
import { clock } from "./format.js";
import { qualityOf } from "./words.js";

const TICK_MS = 500;
const MEMORY_MS = 15_000;

/** The length of the call and how good its connection is, twice a second. */
export class ConnectionView {
  #parts;
  #figures;
  #timer = 0;
  /** @type {number[]} when sound failed to come in time */ #underruns = [];

  /** @param {import("./markup.js").Parts} parts @param {import("./figures.js").Figures} figures */
  constructor(parts, figures) {
    this.#parts = parts;
    this.#figures = figures;
  }

  set session(/** @type {import("./session.js").CallSession | undefined} */ session) {
    clearInterval(this.#timer);
    this.#underruns = [];
    if (session) this.#timer = setInterval(() => this.#tick(session), TICK_MS);
  }

  /** @param {import("./session.js").CallSession} session */
  #tick(session) {
    const { stage, state, stats } = session;
    const { startedAt, ready } = state;
    if (stage === "live") set(this.#parts.clock, clock(performance.now() - startedAt));
    if (stage === "ended") clearInterval(this.#timer);
    const underruns = stats.output?.underruns ?? 0;
    const { bars, text } = qualityOf(stats.rtt_ms, this.#recent(underruns));
    this.#parts.quality.dataset.bars = String(bars);
    set(this.#parts.qualityText, text);
    const providers = Object.values(ready?.providers ?? {}).filter(Boolean).join(", ");
    set(this.#parts.made, providers && `Made with ${providers}`);
    this.#figures.showFigures([
      ["Round trip", stats.rtt_ms === null ? "unknown" : `${stats.rtt_ms} ms`],
      ["Buffer", `${stats.output?.targetMs ?? 80} ms`],
      ["Gaps in the sound", String(underruns)],
      ["Lost", times(stats.socketLosses ?? 0)],
    ]);
  }

  /** @param {number} underruns since the beginning @returns {number} of the last seconds */
  #recent(underruns) {
    const now = performance.now();
    while (this.#underruns.length < underruns) this.#underruns.push(now);
    return this.#underruns.filter((at) => now - at < MEMORY_MS).length;
  }
}

/** @param {number} count */
function times(count) {
  if (count === 0) return "never";
  return count === 1 ? "once" : `${count} times`;
}

/** @param {HTMLElement} element @param {string} text */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
