// @ts-check
import { Call } from "./call.js";
import { IDLE } from "./call-state.js";
import { problemOf, surroundings } from "./microphone-problem.js";
import { Microphone } from "./microphone.js";
import { keepScreenOn, watchPage } from "./page-life.js";
import { remember, remembered } from "./remembered.js";
import { Speaker } from "./speaker.js";

/**
 * @typedef {object} SessionOptions
 * @property {string} url of the socket
 * @property {string} agent slug
 * @property {string | (() => Promise<string>)} [token] a function gives a new one every time
 * @property {boolean} [consent] the caller agreed to what the page says of the call
 * @property {string} [language]
 * @property {Record<string, unknown>} [metadata]
 * @property {import("./protocol.js").Turns} [turns]
 *
 * @typedef {"idle" | "asking" | "connecting" | "live" | "reconnecting" | "ended"} Stage asking: the
 *   browser asks for the microphone
 */

/**
 * One call with its microphone and its loudspeaker; no page. It is used for one call.
 *
 * Fires `change` (something to show is new), `item` (CustomEvent<Item>), `start`, `end`, `levels`
 * (about 30 a second).
 */
export class CallSession extends EventTarget {
  #options;
  #microphone = new Microphone();
  #speaker = new Speaker();
  /** @type {Call | undefined} */ #call;
  #asking = false;
  /** @type {AbortController | undefined} */ #watch;
  /** @type {Promise<void>} */ #released = Promise.resolve();

  /** @type {import("./microphone-problem.js").MicrophoneProblem | null} */ problem = null;
  hasMicrophone = false;
  /** The push-to-talk button is down. */
  pressed = false;
  /** RMS, 0 to 1 */
  levels = { microphone: 0, output: 0 };
  /** @type {import("./speaker.js").Meter | null} */ meter = null;
  /** @type {number[]} when playback was reported to the server, by performance.now() */
  reports = [];

  /** @param {SessionOptions} options */
  constructor(options) {
    super();
    this.#options = options;
    this.volume = Number(remembered("volume") || 1);
    this.#connectSpeaker();
    this.#connectMicrophone();
  }

  get state() {
    return this.#call?.state ?? IDLE;
  }

  get captions() {
    return this.#call?.captions ?? null;
  }

  /** @returns {Stage} */
  get stage() {
    return this.#asking ? "asking" : this.state.stage;
  }

  /** The browser lets no sound out until the page is touched. */
  get blocked() {
    return this.stage === "live" && this.#speaker.blocked;
  }

  /** The answers can only be read here. */
  get silent() {
    return this.#speaker.silent;
  }

  /**
   * Call it from a click, with nothing awaited before.
   *
   * @param {{ microphone?: boolean }} [options] false: typed text only
   * @returns {Promise<boolean>} false: there is no microphone, and `problem` says why
   */
  async start({ microphone = true } = {}) {
    this.problem = null;
    this.#speaker.unlock();
    const rateHz = microphone ? await this.#askForMicrophone() : null;
    if (this.problem) {
      await this.#speaker.stop();
      this.#changed();
      return false;
    }
    await this.#speaker.start();
    if (remembered("speaker")) await this.chooseSpeaker(remembered("speaker"));
    this.#dial(rateHz);
    return true;
  }

  // What the caller does

  hangUp() {
    this.#call?.hangUp();
  }

  /** @param {string} text */
  type(text) {
    return this.#call?.type(text) ?? false;
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.#call?.mute(muted);
    this.#setGate();
  }

  /** @param {import("./protocol.js").Turns} turns */
  takeTurns(turns) {
    this.pressed = false;
    this.#call?.takeTurns(turns);
    this.#setGate();
  }

  /** The push-to-talk button goes down. */
  async press() {
    if (this.pressed || this.state.turns !== "push_to_talk") return;
    this.pressed = true;
    this.#changed();
    await this.#released;
    if (!this.pressed) return;
    this.#call?.talk(true);
    this.#setGate();
  }

  /** The push-to-talk button comes up: what was said until here is sent, then the release. */
  release() {
    if (!this.pressed) return;
    this.pressed = false;
    this.#changed();
    this.#released = this.#microphone.close({ flush: true }).then(() => this.#call?.talk(false));
  }

  /** 0 to 1 */
  get volume() {
    return this.#speaker.volume;
  }

  set volume(volume) {
    this.#speaker.volume = volume;
    remember("volume", String(volume));
  }

  /** @param {string} deviceId empty: the system's choice */
  async chooseSpeaker(deviceId) {
    try {
      await this.#speaker.choose(deviceId);
      remember("speaker", deviceId);
    } catch {
      remember("speaker", "");
    }
    this.#changed();
  }

  /** @param {string} deviceId empty: the browser's choice */
  async chooseMicrophone(deviceId) {
    try {
      await this.#microphone.choose(deviceId);
      remember("microphone", deviceId);
      this.problem = null;
    } catch (error) {
      this.problem = problemOf(/** @type {Error} */ (error), await surroundings());
    }
    this.#changed();
  }

  /** What there is to choose from. The browser names devices only once it gave out a microphone. */
  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    /** @param {MediaDeviceKind} wanted */
    const of = (wanted) => all.filter(({ kind, deviceId }) => kind === wanted && deviceId);
    return {
      microphones: of("audioinput"),
      speakers: Speaker.hasChoice ? of("audiooutput") : [],
      microphone: this.#microphone.deviceId,
    };
  }

  /** Let sound flow again. Best from a click. */
  wake() {
    this.#call?.retryNow();
    void this.#speaker.wake();
    void this.#microphone.wake();
  }

  /** Figures for tests and for the curious; times by performance.now(). */
  get stats() {
    return {
      stage: this.stage,
      phase: this.state.phase,
      rtt_ms: this.#call?.rttMs ?? null,
      level: { ...this.levels },
      output: this.meter,
      output_latency_ms: this.#speaker.latencyMs,
      last_clear: this.#speaker.lastClear,
      report_times: [...this.reports],
      ...this.#call?.counts,
    };
  }

  // The parts

  /** @returns {Promise<number | null>} the rate in hertz */
  async #askForMicrophone() {
    this.#asking = true;
    this.#changed();
    try {
      return await this.#openMicrophone();
    } catch (error) {
      this.problem = problemOf(/** @type {Error} */ (error), await surroundings());
      return null;
    } finally {
      this.#asking = false;
    }
  }

  /** @returns {Promise<number>} */
  async #openMicrophone() {
    const wanted = remembered("microphone");
    try {
      return await this.#microphone.start(wanted);
    } catch (error) {
      // The one of last time is not here.
      if (!wanted || /** @type {Error} */ (error).name !== "OverconstrainedError") throw error;
      return this.#microphone.start();
    }
  }

  /** @param {number | null} microphoneRateHz */
  #dial(microphoneRateHz) {
    this.hasMicrophone = microphoneRateHz !== null;
    const loudspeaker = this.#speaker;
    const { silent } = loudspeaker;
    const call = new Call({ ...this.#options, loudspeaker, silent, microphoneRateHz });
    this.#call = call;
    call.addEventListener("change", () => this.#changed());
    call.addEventListener("ready", (event) => this.#answered(detailOf(event).resumed));
    call.addEventListener("item", (event) => {
      this.dispatchEvent(new CustomEvent("item", { detail: detailOf(event) }));
    });
    call.addEventListener("end", () => void this.#ended());
    this.#watchPage(call);
    call.start();
  }

  /** @param {boolean} resumed */
  #answered(resumed) {
    if (resumed) return;
    this.#setGate();
    this.#microphone.begin();
    this.dispatchEvent(new Event("start"));
  }

  async #ended() {
    this.#watch?.abort();
    this.levels = { microphone: 0, output: 0 };
    this.dispatchEvent(new Event("end"));
    await this.#microphone.stop();
    await this.#speaker.stop();
  }

  #setGate() {
    const { muted, turns } = this.state;
    if (!muted && (turns === "auto" || this.pressed)) {
      this.#microphone.open();
    } else {
      void this.#microphone.close();
    }
  }

  #connectMicrophone() {
    const microphone = this.#microphone;
    microphone.addEventListener("frame", (event) => this.#call?.hear(detailOf(event)));
    microphone.addEventListener("level", (event) => {
      this.levels.microphone = detailOf(event);
      this.dispatchEvent(new Event("levels"));
    });
    microphone.addEventListener("ended", () => void this.chooseMicrophone(""));
  }

  #connectSpeaker() {
    /** @param {string} type @param {(detail: any) => void} take */
    const on = (type, take) =>
      this.#speaker.addEventListener(type, (event) => take(detailOf(event)));
    on("report", ({ responseId, playedMs, bufferedMs }) => {
      this.reports = [...this.reports.slice(-49), performance.now()];
      this.#call?.played(responseId, playedMs, bufferedMs);
    });
    on("cut", ({ responseId, playedMs }) => this.#call?.cut(responseId, playedMs));
    on("forgotten", ({ responseId, playedMs }) => this.#call?.playhead(responseId, playedMs));
    on("meter", (meter) => this.#measured(meter));
    this.#speaker.addEventListener("state", () => this.#changed());
  }

  /** @param {import("./speaker.js").Meter} meter */
  #measured(meter) {
    this.meter = meter;
    this.levels.output = meter.level;
    if (meter.responseId !== null) this.#call?.playhead(meter.responseId, meter.playedMs);
    this.dispatchEvent(new Event("levels"));
  }

  /** @param {Call} call */
  #watchPage(call) {
    this.#watch = new AbortController();
    watchPage(this.#watch.signal, {
      online: () => call.retryNow(),
      left: () => call.hangUp(),
      touched: () => this.blocked && this.wake(),
      seen: () => this.wake(),
      devicesChanged: () => this.#changed(),
    });
    void keepScreenOn(this.#watch.signal);
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {Event} event @returns {any} */
function detailOf(event) {
  return /** @type {CustomEvent} */ (event).detail;
}
