// @ts-check
import { encodeAudio } from "./protocol.js";

const RECENT_MS = 10_000;
/** More than this waiting to leave: further sound is dropped. Above what is sent again at once. */
const BACKLOG_MS = 12_000;
const SAMPLE_BYTES = 2;

/**
 * A piece of the microphone's sound. `position` is that of its first sample, counted over the
 * whole call.
 *
 * @typedef {{ position: number, samples: Int16Array }} Frame
 */

/** The microphone's way to the server. It keeps the last seconds, for a server that lost us. */
export class Uplink {
  /** @type {Frame[]} */ #recent = [];
  #socket;
  #rateHz;

  counts = { framesSent: 0, framesDropped: 0, framesSentAgain: 0 };

  /**
   * @param {{ backlogBytes: number, send(data: ArrayBuffer): boolean }} socket
   * @param {number} rateHz
   */
  constructor(socket, rateHz) {
    this.#socket = socket;
    this.#rateHz = rateHz;
  }

  /** @param {Frame} frame later than all before it */
  send(frame) {
    this.keep(frame);
    this.#send(frame);
  }

  /** Keep it for later. @param {Frame} frame later than all before it */
  keep(frame) {
    this.#recent.push(frame);
    const oldest = frame.position + frame.samples.length - (this.#rateHz * RECENT_MS) / 1000;
    const gone = this.#recent.findIndex(({ position }) => position >= oldest);
    if (gone > 0) this.#recent.splice(0, gone);
  }

  /**
   * Send what a server lacks that has everything before `position`. The first frame may begin
   * earlier: the server leaves out what it has.
   *
   * @param {number} position
   */
  sendAgain(position) {
    for (const frame of this.#recent) {
      if (frame.position + frame.samples.length <= position) continue;
      this.counts.framesSentAgain++;
      this.#send(frame);
    }
  }

  /** @param {Frame} frame */
  #send({ position, samples }) {
    const backlogMs = (this.#socket.backlogBytes * 1000) / (this.#rateHz * SAMPLE_BYTES);
    if (backlogMs > BACKLOG_MS) {
      this.counts.framesDropped++;
    } else if (this.#socket.send(encodeAudio(position, samples))) {
      this.counts.framesSent++;
    }
  }
}
