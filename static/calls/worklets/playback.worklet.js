// @ts-check
// Runs on the audio thread: nothing here awaits or imports, and every list is bounded.

const FADE_MS = 3;
const TARGET_START_MS = 80;
const TARGET_MIN_MS = 40;
const TARGET_MAX_MS = 240;
const TARGET_GROWTH_MS = 40;
const TARGET_SHRINK_MS = 10;
const SMOOTH_MS = 10_000;
const REPORT_MS = 200;
const BUFFER_MAX_MS = 30_000;
const REMEMBERED_RESPONSES = 16;
const METER_SAMPLES = 768;
const VOLUME_STEP = 0.004;

/** @param {number} ms */
const samplesOf = (ms) => Math.round((ms * sampleRate) / 1000);
/** @param {number} samples */
const msOf = (samples) => Math.floor((samples * 1000) / sampleRate);

/** One response's sound: what lies here to be played, and how far it has been played. */
class Response {
  /** @param {number} id */
  constructor(id) {
    this.id = id;
    this.playhead = 0;
    this.buffered = 0;
    /** All of its sound is here. */
    this.complete = false;
    /** It was silenced: whatever comes of it later is dropped. */
    this.cleared = false;
    /** @type {Int16Array[]} */
    this.chunks = [];
    this.taken = 0;
  }

  /**
   * Take sound that belongs at `start`; what is here already is left out. A gap moves the
   * playhead: the server's time is the truth. `start` comes in whole milliseconds, so up to one
   * millisecond apart is contiguous.
   *
   * @param {number} start samples since the response began
   * @param {Int16Array} pcm
   */
  push(start, pcm) {
    const late = this.playhead + this.buffered - start;
    const tolerance = samplesOf(1);
    const fresh = late > tolerance ? pcm.subarray(Math.min(late, pcm.length)) : pcm;
    if (late < -tolerance && !this.buffered) this.playhead = start;
    if (!fresh.length) return;
    this.chunks.push(fresh);
    this.buffered += fresh.length;
  }

  /** @returns {number} the next sample, -1 to 1. Call it only while something is buffered. */
  next() {
    const chunk = /** @type {Int16Array} */ (this.chunks[0]);
    const sample = /** @type {number} */ (chunk[this.taken++]);
    this.playhead++;
    this.buffered--;
    if (this.taken === chunk.length) {
      this.chunks.shift();
      this.taken = 0;
    }
    return sample / 0x8000;
  }

  drop() {
    this.chunks = [];
    this.taken = this.buffered = 0;
    this.complete = false;
  }
}

/**
 * Plays responses one after another, behind a jitter buffer, and counts what was played.
 *
 * Takes `audio` (id, startMs, pcm), `end` (id: all of it was sent), `clear` (id: be silent and
 * answer `cut`), `forget` (be silent, drop everything, answer `forgotten`), `volume` (0 to 1).
 *
 * Posts `report` at start, pause and end of a response and every 200 ms between, `cut`,
 * `forgotten`, and `meter` about 30 times a second while there is sound.
 */
class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    /** @type {Map<number, Response>} in the order of their first sound */
    this.responses = new Map();
    /** @type {Response | undefined} */
    this.playing = undefined;
    /** dry: the sound ran out before the response's end. @type {"idle" | "filling" | "playing" | "dry"} */
    this.mode = "idle";
    this.waited = 0;
    this.target = samplesOf(TARGET_START_MS);
    this.smooth = 0;
    this.sinceReport = 0;
    this.underruns = 0;
    this.overflows = 0;
    this.fadeIn = 0;
    this.last = 0;
    /** @type {{ type: "cut" | "forgotten", response: Response | undefined }[]} fade out, then answer */
    this.silencing = [];
    this.volume = { now: 1, wanted: 1 };
    this.meter = { squares: 0, samples: 0, quiet: true };
    this.port.onmessage = ({ data }) => this.#obey(data);
  }

  /** @param {any} order */
  #obey(order) {
    if (order.type === "audio") this.#take(order);
    if (order.type === "end") this.#end(this.#response(order.id));
    if (order.type === "clear") this.#clear(this.#response(order.id));
    if (order.type === "forget") this.#silence("forgotten", this.playing);
    if (order.type === "volume") this.volume.wanted = order.volume;
  }

  /** @param {number} id @returns {Response} */
  #response(id) {
    let response = this.responses.get(id);
    if (!response) {
      response = new Response(id);
      this.responses.set(id, response);
      this.#tidy();
    }
    return response;
  }

  #tidy() {
    for (const [id, response] of this.responses) {
      if (this.responses.size <= REMEMBERED_RESPONSES) return;
      if (!response.buffered) this.responses.delete(id);
    }
  }

  /** @param {{ id: number, startMs: number, pcm: Int16Array }} order */
  #take({ id, startMs, pcm }) {
    const response = this.#response(id);
    if (response.cleared) return;
    if (response.buffered > samplesOf(BUFFER_MAX_MS)) {
      this.overflows++;
      return;
    }
    response.push(samplesOf(startMs), pcm);
  }

  /** @param {Response} response */
  #end(response) {
    if (response.cleared) return;
    response.complete = true;
    if (!response.buffered) this.#finish(response);
  }

  /** @param {Response} response */
  #clear(response) {
    response.cleared = true;
    if (this.playing === response) {
      this.#silence("cut", response);
    } else {
      response.drop();
      this.#answer("cut", response);
    }
  }

  /** @param {"cut" | "forgotten"} type @param {Response | undefined} response */
  #silence(type, response) {
    this.silencing.push({ type, response });
    if (this.mode !== "playing") this.#finishSilencing();
  }

  #finishSilencing() {
    for (const { type, response } of this.silencing) {
      if (type === "forgotten") for (const each of this.responses.values()) each.drop();
      response?.drop();
      this.#answer(type, response);
    }
    this.silencing = [];
    this.playing = undefined;
    this.mode = "idle";
    this.last = 0;
  }

  /** @param {"cut" | "forgotten"} type @param {Response | undefined} response */
  #answer(type, response) {
    this.port.postMessage({
      type,
      id: response?.id ?? null,
      playedMs: msOf(response?.playhead ?? 0),
      // The end of the render quantum that is being made or comes next.
      silentAt: currentTime + 128 / sampleRate,
    });
  }

  /**
   * @param {Float32Array[][]} _inputs none
   * @param {Float32Array[][]} outputs output, channel, samples
   */
  process(_inputs, outputs) {
    const channel = outputs[0]?.[0];
    if (!channel) return true;
    this.#fill(channel);
    this.#amplify(channel);
    this.#measure(channel);
    return true;
  }

  /** @param {Float32Array} channel */
  #fill(channel) {
    const response = this.#current();
    const plays = response && this.#ready(response, channel.length);
    const made = plays ? this.#play(response, channel) : 0;
    if (this.silencing.length) this.#finishSilencing();
    this.#decay(channel, made);
  }

  /** @returns {Response | undefined} the one that is playing, else the oldest that has sound */
  #current() {
    if (this.playing?.buffered) return this.playing;
    for (const response of this.responses.values()) if (response.buffered) return response;
    return undefined;
  }

  /**
   * Whether to play on, or to wait until enough has come.
   *
   * @param {Response} response with sound @param {number} quantum samples
   */
  #ready(response, quantum) {
    if (this.playing !== response) this.#await(response);
    if (this.mode === "playing") return true;
    if (this.mode === "dry") this.#underrun(response);
    this.waited += quantum;
    const enough = response.buffered >= this.target || response.complete;
    if (!enough && this.waited < this.target) return false;
    this.mode = "playing";
    this.fadeIn = 0;
    this.#report(response, "start");
    return true;
  }

  /** @param {Response} response */
  #await(response) {
    this.playing = response;
    this.mode = "filling";
    this.waited = 0;
  }

  /** @param {Response} response */
  #underrun(response) {
    this.underruns++;
    this.smooth = 0;
    this.target = Math.min(samplesOf(TARGET_MAX_MS), this.target + samplesOf(TARGET_GROWTH_MS));
    this.#await(response);
  }

  /**
   * @param {Response} response @param {Float32Array} channel
   * @returns {number} samples made; less than asked for when the sound ran out or was silenced
   */
  #play(response, channel) {
    const fade = samplesOf(FADE_MS);
    const silencing = this.silencing.length > 0;
    const wanted = Math.min(channel.length, response.buffered, silencing ? fade : Infinity);
    for (let i = 0; i < wanted; i++) {
      const rise = this.fadeIn < fade ? this.fadeIn++ / fade : 1;
      const fall = silencing ? 1 - i / fade : 1;
      this.last = channel[i] = response.next() * rise * fall;
    }
    this.#count(wanted, response);
    if (!silencing && !response.buffered) this.#ranOut(response);
    return wanted;
  }

  /** @param {number} samples @param {Response} response */
  #count(samples, response) {
    this.sinceReport += samples;
    this.smooth += samples;
    if (this.sinceReport >= samplesOf(REPORT_MS)) this.#report(response, "playing");
    if (this.smooth < samplesOf(SMOOTH_MS)) return;
    this.smooth = 0;
    this.target = Math.max(samplesOf(TARGET_MIN_MS), this.target - samplesOf(TARGET_SHRINK_MS));
  }

  /** @param {Response} response */
  #ranOut(response) {
    if (response.complete) {
      this.#finish(response);
    } else {
      this.mode = "dry";
      this.#report(response, "pause");
    }
  }

  /** @param {Response} response all of it was played */
  #finish(response) {
    if (this.playing === response) {
      this.playing = undefined;
      this.mode = "idle";
    }
    this.#report(response, "end");
  }

  /**
   * Let the last sample die away instead of breaking off: that would click.
   *
   * @param {Float32Array} channel @param {number} from the first sample that was not made
   */
  #decay(channel, from) {
    const fade = samplesOf(FADE_MS);
    for (let i = from; i < channel.length && this.last; i++) {
      this.last *= 1 - 4 / fade;
      if (Math.abs(this.last) < 1e-4) this.last = 0;
      channel[i] = this.last;
    }
  }

  /** @param {Float32Array} channel */
  #amplify(channel) {
    const { volume } = this;
    if (volume.now === 1 && volume.wanted === 1) return;
    for (let i = 0; i < channel.length; i++) {
      volume.now += (volume.wanted - volume.now) * VOLUME_STEP;
      channel[i] = /** @type {number} */ (channel[i]) * volume.now;
    }
    if (Math.abs(volume.wanted - volume.now) < 1e-4) volume.now = volume.wanted;
  }

  /** @param {Response} response @param {"start" | "playing" | "pause" | "end"} cause */
  #report(response, cause) {
    this.sinceReport = 0;
    this.port.postMessage({ type: "report", cause, ...this.#playhead(response) });
  }

  /** @param {Response} response */
  #playhead({ id, playhead, buffered }) {
    return { id, playedMs: msOf(playhead), bufferedMs: msOf(buffered) };
  }

  /** @param {Float32Array} channel */
  #measure(channel) {
    const { meter } = this;
    for (const sample of channel) meter.squares += sample * sample;
    meter.samples += channel.length;
    if (meter.samples < METER_SAMPLES) return;
    const rms = Math.sqrt(meter.squares / meter.samples);
    meter.squares = meter.samples = 0;
    if (!rms && meter.quiet && this.mode === "idle") return;
    meter.quiet = !rms;
    this.port.postMessage({
      type: "meter",
      rms,
      mode: this.mode,
      targetMs: msOf(this.target),
      underruns: this.underruns,
      overflows: this.overflows,
      ...(this.playing ? this.#playhead(this.playing) : { id: null, playedMs: 0, bufferedMs: 0 }),
    });
  }
}

registerProcessor("playback", Playback);
