// @ts-check

/**
 * The recording, played. Its left channel is the caller, its right one the agent; both are heard in
 * the middle, each can be silenced.
 *
 * Fires `change` when it starts, stops, jumps or ends.
 */
export class Player extends EventTarget {
  #audio;
  #lengthMs;
  /** Silenced tracks, until there is a graph to silence them in. */
  #silent = new Set();
  /** @type {GainNode[]} */ #gains = [];

  /**
   * @param {HTMLAudioElement} audio
   * @param {number} lengthMs length of the call in milliseconds
   */
  constructor(audio, lengthMs) {
    super();
    this.#audio = audio;
    this.#lengthMs = lengthMs;
    for (const name of ["play", "pause", "seeked", "ended", "ratechange", "error"]) {
      audio.addEventListener(name, () => this.dispatchEvent(new Event("change")));
    }
  }

  get playing() {
    return !this.#audio.paused && !this.#audio.ended;
  }

  get failed() {
    return this.#audio.error !== null;
  }

  get positionMs() {
    return Math.min(this.#lengthMs, Math.round(this.#audio.currentTime * 1000));
  }

  /** @param {number} rate 1 is as it was spoken */
  set speed(rate) {
    this.#audio.playbackRate = rate;
  }

  async toggle() {
    if (this.playing) this.#audio.pause();
    else await this.play();
  }

  /** Play; call it from a click or a key, browsers want a gesture. */
  async play() {
    this.#connect();
    await this.#audio.play().catch(() => this.dispatchEvent(new Event("change")));
  }

  /** @param {number} ms from the beginning of the call */
  seek(ms) {
    this.#audio.currentTime = Math.max(0, Math.min(this.#lengthMs, ms)) / 1000;
    this.dispatchEvent(new Event("change"));
  }

  /**
   * @param {number} track 0 is the caller, 1 the agent
   * @param {boolean} heard
   */
  hear(track, heard) {
    if (heard) this.#silent.delete(track);
    else this.#silent.add(track);
    const gain = this.#gains[track];
    if (gain) gain.gain.value = heard ? 1 : 0;
  }

  #connect() {
    if (this.#gains.length) return;
    const context = new AudioContext();
    const tracks = context.createChannelSplitter(2);
    context.createMediaElementSource(this.#audio).connect(tracks);
    this.#gains = [0, 1].map((track) => {
      const gain = context.createGain();
      gain.gain.value = this.#silent.has(track) ? 0 : 1;
      tracks.connect(gain, track);
      gain.connect(context.destination);
      return gain;
    });
  }
}
