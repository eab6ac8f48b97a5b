// @ts-check
// Runs on the audio thread: nothing here awaits, imports or grows.

const QUANTUM_SAMPLES = 128;

/**
 * Cuts the microphone into frames of 16-bit PCM and measures its level.
 *
 * Takes `begin` (the call's clock starts: the next sample is number 0), `gate` (open or closed; a
 * closed gate discards everything, here, and `flush` first sends the begun frame), `skip` (time
 * passed in which the browser gave no sound).
 *
 * Posts `frame` (position of its first sample, samples), `level` (RMS, 0 to 1, about 30 a second,
 * also while the gate is closed) and `closed` (no frame follows).
 */
class Capture extends AudioWorkletProcessor {
  /** @param {{ processorOptions: { frameSamples: number } }} options */
  constructor({ processorOptions: { frameSamples } }) {
    super();
    this.frame = new Int16Array(frameSamples);
    this.filled = 0;
    this.position = 0;
    this.counting = false;
    this.open = false;
    this.meter = { squares: 0, samples: 0, due: Math.floor(sampleRate / 32) };
    this.port.onmessage = ({ data }) => this.#obey(data);
  }

  /** @param {any} order */
  #obey(order) {
    if (order.type === "begin") this.counting = true;
    if (order.type === "skip") this.#skip(order.samples);
    if (order.type === "gate") this.#setGate(order.open, order.flush);
  }

  /** @param {number} samples */
  #skip(samples) {
    this.#post();
    this.position += samples;
  }

  /** @param {boolean} open @param {boolean} flush */
  #setGate(open, flush) {
    if (!open && flush) this.#post();
    this.filled = 0;
    this.open = open;
    if (!open) this.port.postMessage({ type: "closed" });
  }

  /**
   * @param {Float32Array[][]} inputs input, channel, samples in -1..1; no channel without a device
   */
  process(inputs) {
    const channel = inputs[0]?.[0];
    if (channel) this.#measure(channel);
    if (!this.counting) return true;
    if (channel && this.open) {
      this.#take(channel);
    } else {
      this.#skip(channel?.length ?? QUANTUM_SAMPLES);
    }
    return true;
  }

  /** @param {Float32Array} channel */
  #take(channel) {
    for (const sample of channel) {
      const scaled = Math.round(sample * 0x8000);
      this.frame[this.filled++] = Math.max(-0x8000, Math.min(0x7fff, scaled));
      this.position++;
      if (this.filled === this.frame.length) this.#post();
    }
  }

  #post() {
    if (!this.filled) return;
    const samples = this.frame.slice(0, this.filled);
    const position = this.position - this.filled;
    this.filled = 0;
    this.port.postMessage({ type: "frame", position, samples }, [samples.buffer]);
  }

  /** @param {Float32Array} channel */
  #measure(channel) {
    const { meter } = this;
    for (const sample of channel) meter.squares += sample * sample;
    meter.samples += channel.length;
    if (meter.samples < meter.due) return;
    const rms = Math.sqrt(meter.squares / meter.samples);
    meter.squares = meter.samples = 0;
    this.port.postMessage({ type: "level", rms });
  }
}

registerProcessor("capture", Capture);
