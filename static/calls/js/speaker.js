// @ts-check
import { AGENT_RATE_HZ } from "./protocol.js";
import { wakeUp } from "./wake-up.js";

const WORKLET = new URL("../worklets/playback.worklet.js", import.meta.url);
/** An audio thread that sleeps does not answer; then the last known playhead has to do. */
const ANSWER_MS = 150;
const FORGET_MS = 500;

/**
 * The agent's voice. Fires
 *
 * - `report` (CustomEvent<Report>) at start, pause and end of a response and every 200 ms between,
 * - `cut` (CustomEvent<Playhead>), the answer to `clear`,
 * - `forgotten` (CustomEvent<Playhead>), the answer to `forget`, and for sound that a silent one
 *   does not play,
 * - `meter` (CustomEvent<Meter>), about 30 a second while there is sound,
 * - `state` when `blocked` changes.
 *
 * @typedef {{ responseId: number, playedMs: number }} Playhead
 * @typedef {Playhead & { bufferedMs: number, cause: "start" | "playing" | "pause" | "end" }} Report
 * @typedef {object} Meter
 * @property {number} level RMS of what comes out, 0 to 1
 * @property {"idle" | "filling" | "playing" | "dry"} mode
 * @property {number | null} responseId
 * @property {number} playedMs
 * @property {number} bufferedMs
 * @property {number} targetMs what the jitter buffer wants before it plays
 * @property {number} underruns since the beginning
 *
 * @typedef {object} Clearing when a response was silenced, by performance.now()
 * @property {number} response_id
 * @property {number} played_ms
 * @property {number} received_at `clear` arrived
 * @property {number} answered_at the page knew that there is silence
 * @property {number | null} silent_at the first silent sample left the page for the loudspeaker
 */
export class Speaker extends EventTarget {
  /** @type {AudioContext | undefined} */ #context;
  /** @type {AudioWorkletNode | undefined} */ #node;
  #volume = 1;
  /** @type {Map<number, number>} when `clear` came, by response */ #clearing = new Map();
  /** @type {Map<number, number>} ms played, by response */ #playheads = new Map();

  /** @type {Clearing | null} the last one */ lastClear = null;
  /** Nothing can be played here: this browser, or this insecure page, has no audio worklet. */
  silent = false;

  /** The browser lets no sound out until the page is touched. */
  get blocked() {
    return this.#context !== undefined && this.#context.state !== "running";
  }

  /** Whether this browser can choose where the sound goes. */
  static get hasChoice() {
    return "AudioContext" in window && "setSinkId" in AudioContext.prototype;
  }

  /** What the device adds to every time, in milliseconds, as far as the browser knows. */
  get latencyMs() {
    const { baseLatency = 0, outputLatency = 0 } = this.#context ?? {};
    return Math.round((baseLatency + outputLatency) * 1000);
  }

  /** Call it in a click, before anything is awaited: iOS and Safari let no sound out otherwise. */
  unlock() {
    this.silent = !("AudioContext" in window && "audioWorklet" in AudioContext.prototype);
    if (this.silent) return;
    const session = /** @type {any} */ (navigator).audioSession;
    if (session) session.type = "play-and-record"; // Or the ring switch silences it.
    this.#context ??= new AudioContext({ sampleRate: AGENT_RATE_HZ, latencyHint: "interactive" });
    const silence = this.#context.createBufferSource();
    silence.buffer = this.#context.createBuffer(1, 1, AGENT_RATE_HZ);
    silence.connect(this.#context.destination);
    silence.start();
    void wakeUp(this.#context);
  }

  /** After `unlock`. Sound given before it is done is lost; where it fails, all of it: `silent`. */
  async start() {
    const context = this.#context;
    if (!context) return;
    try {
      await context.audioWorklet.addModule(WORKLET);
    } catch {
      this.silent = true;
    }
    if (this.silent || context !== this.#context) return;
    this.#node = new AudioWorkletNode(context, "playback", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    this.#node.port.onmessage = ({ data }) => this.#take(data);
    this.#node.connect(context.destination);
    context.onstatechange = () => this.dispatchEvent(new Event("state"));
    this.volume = this.#volume;
  }

  /** @param {import("./protocol.js").Audio} sound its samples are given away */
  play({ response_id: id, start_ms: startMs, pcm }) {
    if (this.silent) {
      const playedMs = startMs + Math.round((pcm.length * 1000) / AGENT_RATE_HZ);
      this.#fire("forgotten", { responseId: id, playedMs });
      return;
    }
    this.#node?.port.postMessage({ type: "audio", id, startMs, pcm }, [pcm.buffer]);
  }

  /** @param {number} id all of that response's sound was given */
  finish(id) {
    this.#node?.port.postMessage({ type: "end", id });
  }

  /** Be silent at once, forget that response. @param {number} id */
  clear(id) {
    this.#clearing.set(id, performance.now());
    this.#node?.port.postMessage({ type: "clear", id });
    setTimeout(() => this.#cut(id, this.#playheads.get(id) ?? 0, null), ANSWER_MS);
  }

  /**
   * Be silent at once, drop everything; what comes later goes on where it stood.
   *
   * @returns {Promise<void>} the last playhead was told
   */
  async forget() {
    if (!this.#node) return;
    this.#node.port.postMessage({ type: "forget" });
    await new Promise((resolve) => {
      this.addEventListener("quiet", resolve, { once: true });
      setTimeout(resolve, FORGET_MS);
    });
  }

  /** 0 to 1 */
  get volume() {
    return this.#volume;
  }

  set volume(volume) {
    this.#volume = volume;
    // Loudness is felt by ratios: half of the way down should sound like half.
    this.#node?.port.postMessage({ type: "volume", volume: volume ** 2 });
  }

  /** @param {string} deviceId empty: the system's choice @throws {DOMException} */
  async choose(deviceId) {
    const context = /** @type {any} */ (this.#context);
    await context?.setSinkId?.(deviceId);
  }

  /** The browser may have put sound to sleep. Best from a click. */
  async wake() {
    if (this.#context && this.blocked) await wakeUp(this.#context);
  }

  /** Idempotent. */
  async stop() {
    const context = this.#context;
    this.#context = this.#node = undefined;
    this.#clearing.clear();
    this.#playheads.clear();
    await context?.close();
  }

  /** @param {any} message of the audio thread */
  #take(message) {
    const { type, id: responseId, playedMs } = message;
    if (responseId !== null) this.#setPlayhead(responseId, playedMs);
    if (type === "cut") {
      this.#cut(responseId, playedMs, this.#leftAt(message.silentAt));
    } else if (type === "forgotten") {
      if (responseId !== null) this.#fire("forgotten", { responseId, playedMs });
      this.dispatchEvent(new Event("quiet"));
    } else if (type === "report") {
      const { bufferedMs, cause } = message;
      this.#fire("report", { responseId, playedMs, bufferedMs, cause });
    } else {
      this.#meter(message);
    }
  }

  /** @param {any} message */
  #meter({ rms, mode, id, playedMs, bufferedMs, targetMs, underruns }) {
    const detail = { level: rms, mode, responseId: id, playedMs, bufferedMs, targetMs, underruns };
    this.#fire("meter", detail);
  }

  /** @param {number} id @param {number} playedMs @param {number | null} silentAt */
  #cut(id, playedMs, silentAt) {
    const received = this.#clearing.get(id);
    if (received === undefined) return;
    this.#clearing.delete(id);
    this.lastClear = {
      response_id: id,
      played_ms: playedMs,
      received_at: received,
      answered_at: performance.now(),
      silent_at: silentAt,
    };
    this.#fire("cut", { responseId: id, playedMs });
  }

  /** @param {number} id @param {number} playedMs */
  #setPlayhead(id, playedMs) {
    this.#playheads.set(id, playedMs);
    for (const old of this.#playheads.keys()) {
      if (this.#playheads.size <= 16) return;
      this.#playheads.delete(old);
    }
  }

  /** When sound of that context time leaves the page. @param {number} contextTime in seconds */
  #leftAt(contextTime) {
    const stamp = this.#context?.getOutputTimestamp?.();
    if (!stamp?.performanceTime || stamp.contextTime === undefined) return null;
    return stamp.performanceTime + (contextTime - stamp.contextTime) * 1000;
  }

  /** @param {string} type @param {object} detail */
  #fire(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
