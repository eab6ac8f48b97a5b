// @ts-check

/** Length of one peak, as `recording_peaks` makes them. */
const PEAK_MS = 20;
/** Bytes of one peak: caller low and high, agent low and high. */
const PEAK_BYTES = 4;
const BAR_PX = 2;
const STEP_PX = 3;
/** The loudest bar is drawn at full height, but noise alone does not look like speech. */
const QUIETEST = 24;

/** @typedef {{fromMs: number, untilMs: number}} Span */

/** Both sides of the call over time: the caller above, the agent below. */
export class Waveform {
  #canvas;
  #lengthMs;
  #peaks = new Int8Array();
  #positionMs = 0;
  /** @type {Span[]} */ #waits = [];
  /** @type {number[]} */ #cuts = [];
  /** Of each track, one level a bar; made for a width. @type {number[][]} */ #levels = [];

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {number} lengthMs of the call
   */
  constructor(canvas, lengthMs) {
    this.#canvas = canvas;
    this.#lengthMs = Math.max(1, lengthMs);
    new ResizeObserver(() => this.#measure()).observe(canvas);
    new MutationObserver(() => this.#draw()).observe(document.documentElement, {
      attributeFilter: ["data-theme"],
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
  }

  /**
   * @param {Int8Array<ArrayBuffer>} peaks
   * @param {Span[]} waits silences before answers
   * @param {number[]} cuts where the caller interrupted, in milliseconds
   */
  show(peaks, waits, cuts) {
    this.#peaks = peaks;
    this.#waits = waits;
    this.#cuts = cuts;
    this.#measure();
  }

  /** @param {number} ms what has been played */
  set positionMs(ms) {
    this.#positionMs = ms;
    this.#draw();
  }

  /**
   * The place in the call under a point of the page.
   *
   * @param {number} clientX
   */
  msAt(clientX) {
    const { left, width } = this.#canvas.getBoundingClientRect();
    return Math.max(0, Math.min(1, (clientX - left) / width)) * this.#lengthMs;
  }

  /** The canvas or the sound is another one. */
  #measure() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    const bars = Math.floor(width / STEP_PX);
    this.#levels = [0, 1].map((track) =>
      Array.from({ length: bars }, (_, bar) => this.#level(track, bar / bars, (bar + 1) / bars)),
    );
    this.#draw();
  }

  #draw() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const pen = this.#canvas.getContext("2d");
    if (!pen || !width) return;
    const styles = getComputedStyle(this.#canvas);
    const colour = (/** @type {string} */ name) => styles.getPropertyValue(name);
    const x = (/** @type {number} */ ms) => (ms / this.#lengthMs) * width;

    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colour("--wait-band");
    for (const { fromMs, untilMs } of this.#waits) {
      pen.fillRect(x(fromMs), 0, Math.max(1, x(untilMs) - x(fromMs)), height);
    }
    const played = x(this.#positionMs);
    const loudest = Math.max(QUIETEST, ...this.#levels.flat());
    const reach = (height * 0.23) / loudest;
    this.#drawTrack(pen, 0, played, height * 0.25, reach, colour("--caller"));
    this.#drawTrack(pen, 1, played, height * 0.75, reach, colour("--agent"));
    pen.fillStyle = colour("--cut");
    for (const ms of this.#cuts) pen.fillRect(x(ms) - 0.75, 4, 1.5, height - 8);
    pen.fillStyle = colour("--body-loud-color");
    pen.fillRect(Math.min(width - 2, played), 0, 2, height);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {number} track
   * @param {number} played how far, in pixels
   * @param {number} middle where silence is drawn
   * @param {number} reach pixels of one step of level
   * @param {string} colour
   */
  #drawTrack(pen, track, played, middle, reach, colour) {
    pen.fillStyle = colour;
    this.#levels[track]?.forEach((level, bar) => {
      const half = Math.max(0.5, reach * level);
      pen.globalAlpha = bar * STEP_PX < played ? 1 : 0.5;
      pen.fillRect(bar * STEP_PX, middle - half, BAR_PX, half * 2);
    });
    pen.globalAlpha = 1;
  }

  /**
   * The loudest peak of a track within a part of the call.
   *
   * @param {number} track
   * @param {number} from share of the call's length
   * @param {number} until share of the call's length
   */
  #level(track, from, until) {
    const peaks = this.#peaks.length / PEAK_BYTES;
    const first = Math.floor((from * this.#lengthMs) / PEAK_MS);
    const last = Math.min(peaks, Math.max(first + 1, Math.ceil((until * this.#lengthMs) / PEAK_MS)));
    let level = 0;
    for (let peak = first; peak < last; peak++) {
      const at = peak * PEAK_BYTES + track * 2;
      level = Math.max(level, -(this.#peaks[at] ?? 0), this.#peaks[at + 1] ?? 0);
    }
    return level;
  }
}
