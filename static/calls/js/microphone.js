// @ts-check
import { wakeUp } from "./wake-up.js";

const WORKLET = new URL("../worklets/capture.worklet.js", import.meta.url);

/** What detection and most transcribers want; the browser resamples. */
const WANTED_RATE_HZ = 16000;
const RATE_MAX_HZ = 48000;
const FRAME_S = 0.032;
const CLOSE_MS = 100;
/** The browser's clock and the sound's may differ by this before time counts as lost. */
const LOST_MS = 200;

/**
 * The caller's microphone as frames of PCM. Fires
 *
 * - `frame` (CustomEvent<Frame>, 32 ms of mono sound, in order) while the gate is open,
 * - `level` (CustomEvent<number>, RMS 0 to 1, about 30 a second, whether open or not),
 * - `ended` when the device goes away.
 */
export class Microphone extends EventTarget {
  /** @type {AudioContext | undefined} */ #context;
  /** @type {MediaStream | undefined} */ #stream;
  /** @type {MediaStreamAudioSourceNode | undefined} */ #source;
  /** @type {AudioWorkletNode | undefined} */ #node;
  #closed = () => {};
  /** @type {{ page: number, sound: number } | undefined} two clocks at one moment, in ms */
  #moment;

  /** The device in use; empty: none. */
  get deviceId() {
    return this.#stream?.getAudioTracks()[0]?.getSettings().deviceId ?? "";
  }

  /**
   * Ask for the microphone and start. Call it from a click: browsers want a gesture.
   *
   * @param {string} [deviceId] empty: the browser's choice
   * @returns {Promise<number>} the frames' sample rate in hertz; the same until `stop`
   * @throws {DOMException} as getUserMedia does; TypeError where there is no such thing
   */
  async start(deviceId = "") {
    this.#stream = await openDevice(deviceId);
    try {
      return await this.#listen();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** The call begins: positions count from here. */
  begin() {
    this.#node?.port.postMessage({ type: "begin" });
    this.#setMoment();
  }

  /** Let sound out. */
  open() {
    this.#node?.port.postMessage({ type: "gate", open: true });
  }

  /**
   * Let no sound out: from here on it is discarded on the audio thread.
   *
   * @param {{ flush?: boolean }} [options] flush: send the frame that was begun
   * @returns {Promise<void>} no frame follows
   */
  async close({ flush = false } = {}) {
    if (!this.#node) return;
    this.#node.port.postMessage({ type: "gate", open: false, flush });
    await new Promise((resolve) => {
      this.#closed = () => resolve(undefined);
      setTimeout(resolve, CLOSE_MS);
    });
  }

  /**
   * Go on with another device; the positions go on too.
   *
   * @param {string} deviceId
   * @throws {DOMException} and the old one stays
   */
  async choose(deviceId) {
    const stream = await openDevice(deviceId);
    const old = this.#stream;
    this.#connect(stream);
    stopTracks(old);
  }

  /** The browser may have put sound to sleep (a phone call, another app). */
  async wake() {
    if (this.#context && this.#context.state !== "running") await wakeUp(this.#context);
  }

  /** Let go of the device. Idempotent. */
  async stop() {
    stopTracks(this.#stream);
    const context = this.#context;
    this.#context = this.#stream = this.#source = this.#node = this.#moment = undefined;
    await context?.close();
  }

  /** @returns {Promise<number>} */
  async #listen() {
    let refusal = /** @type {unknown} */ (undefined);
    // Firefox refuses a microphone whose rate is not its context's: then the device's own.
    for (const sampleRate of [WANTED_RATE_HZ, undefined, RATE_MAX_HZ]) {
      const context = new AudioContext({ sampleRate, latencyHint: "interactive" });
      try {
        if (context.sampleRate > RATE_MAX_HZ) throw new RangeError("rate out of range");
        await this.#build(context);
        return context.sampleRate;
      } catch (error) {
        refusal = error;
        await context.close();
      }
    }
    throw refusal;
  }

  /** @param {AudioContext} context */
  async #build(context) {
    const stream = /** @type {MediaStream} */ (this.#stream);
    // Before anything is awaited: it throws where the rates do not fit.
    context.createMediaStreamSource(stream);
    await context.audioWorklet.addModule(WORKLET);
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { frameSamples: Math.round(context.sampleRate * FRAME_S) },
    });
    this.#node.port.onmessage = ({ data }) => this.#take(data);
    this.#connect(stream);
    context.onstatechange = () => this.#stateChanged();
    void wakeUp(context);
  }

  /** @param {MediaStream} stream */
  #connect(stream) {
    const context = /** @type {AudioContext} */ (this.#context);
    const source = context.createMediaStreamSource(stream);
    this.#source?.disconnect();
    source.connect(/** @type {AudioWorkletNode} */ (this.#node));
    this.#source = source;
    this.#stream = stream;
    for (const track of stream.getAudioTracks()) {
      track.onended = () => this.dispatchEvent(new Event("ended"));
    }
  }

  /** @param {any} message of the audio thread */
  #take(message) {
    if (message.type === "closed") this.#closed();
    if (message.type === "frame") {
      const { position, samples } = message;
      this.dispatchEvent(new CustomEvent("frame", { detail: { position, samples } }));
    }
    if (message.type === "level") {
      this.dispatchEvent(new CustomEvent("level", { detail: message.rms }));
    }
  }

  /** Sound that slept has lost time; the positions must not. */
  #stateChanged() {
    const context = this.#context;
    if (!context || !this.#moment || context.state !== "running") return;
    const slept = performance.now() - this.#moment.page;
    const lostMs = slept - (context.currentTime * 1000 - this.#moment.sound);
    if (lostMs > LOST_MS) {
      const samples = Math.round((lostMs * context.sampleRate) / 1000);
      this.#node?.port.postMessage({ type: "skip", samples });
    }
    this.#setMoment();
  }

  #setMoment() {
    if (!this.#context) return;
    this.#moment = { page: performance.now(), sound: this.#context.currentTime * 1000 };
  }
}

/** @param {string} deviceId @returns {Promise<MediaStream>} */
function openDevice(deviceId) {
  return navigator.mediaDevices.getUserMedia({
    audio: {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
      channelCount: 1,
      ...(deviceId && { deviceId: { exact: deviceId } }),
    },
  });
}

/** @param {MediaStream | undefined} stream */
function stopTracks(stream) {
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
}
