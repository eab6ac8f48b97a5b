// An audio thread for tests: runs one worklet processor, one render quantum at a time.

import { readFileSync } from "node:fs";

const QUANTUM_SAMPLES = 128;

/**
 * @param {string} name of the file in static/calls/worklets
 * @param {number} rateHz
 * @param {object} [options] given to the processor's constructor
 */
export function audioThread(name, rateHz, options = {}) {
  const sent = /** @type {any[]} */ ([]);
  const file = new URL(`../../static/calls/worklets/${name}`, import.meta.url);
  class AudioWorkletProcessor {
    port = { postMessage: (message) => sent.push(message), onmessage: (_) => {} };
  }
  let made;
  const scope = {
    AudioWorkletProcessor,
    registerProcessor: (_name, type) => (made = type),
    sampleRate: rateHz,
  };
  globalThis.currentTime = 0;
  new Function(...Object.keys(scope), readFileSync(file, "utf8"))(...Object.values(scope));
  return new AudioThread(new made(options), sent, rateHz);
}

class AudioThread {
  #processor;
  #sent;
  #rateHz;

  constructor(processor, sent, rateHz) {
    this.#processor = processor;
    this.#sent = sent;
    this.#rateHz = rateHz;
  }

  tell(order) {
    this.#processor.port.onmessage({ data: order });
  }

  /** What was posted since the last time, of one type if one is named. */
  posted(type) {
    const taken = this.#sent.splice(0);
    return type ? taken.filter((message) => message.type === type) : taken;
  }

  /** Give it sound; whole quanta of the samples. */
  hear(samples) {
    for (let i = 0; i + QUANTUM_SAMPLES <= samples.length; i += QUANTUM_SAMPLES) {
      this.#quantum([[samples.subarray(i, i + QUANTUM_SAMPLES)]], []);
    }
  }

  /** Run without a device. */
  hearNothing(quanta) {
    for (let i = 0; i < quanta; i++) this.#quantum([[]], []);
  }

  /** Take at least `ms` of sound from it. */
  speak(ms) {
    const quanta = Math.ceil((ms * this.#rateHz) / 1000 / QUANTUM_SAMPLES);
    const sound = new Float32Array(quanta * QUANTUM_SAMPLES);
    for (let i = 0; i < quanta; i++) {
      const channel = sound.subarray(i * QUANTUM_SAMPLES, (i + 1) * QUANTUM_SAMPLES);
      this.#quantum([], [[channel]]);
    }
    return sound;
  }

  #quantum(inputs, outputs) {
    this.#processor.process(inputs, outputs);
    globalThis.currentTime += QUANTUM_SAMPLES / this.#rateHz;
  }
}
