// @ts-check
import { PAGE_CLOCK } from "./clock.js";
import { ProtocolError, closeOutcome, decode, encode } from "./protocol.js";

const PING_MS = 2000;
const DEAD_MS = 8000;
const CONNECT_MS = 5000;
const FIRST_CALL_MS = 10_000;
/** A server that has to put a call together first may take its time. */
const READY_MS = 20_000;
const RETRY_FIRST_MS = 60;
const RETRY_BASE_MS = 250;
const RETRY_MAX_MS = 4000;
const TOO_FAST = 4429;
const TOO_FAST_MS = 1000;
/** What a browser says when a socket went without a word. */
const ABNORMAL = 1006;

/**
 * One WebSocket that comes back by itself, until the call is over or cannot be saved.
 *
 * A socket that is silent although it was asked counts as gone: a network that died does not say
 * so for minutes. So does one whose server was told who comes, and does not take it in.
 *
 * Fires `message` (CustomEvent<ServerMessage>), `down` (CustomEvent<{ code }>: it is gone with that
 * close code, and comes back), `over` (CustomEvent<Over>, the last event).
 *
 * @typedef {object} Over
 * @property {number} code the last close code
 * @property {"over" | "later" | "lost"} outcome lost: the time to come back is up
 */
export class CallSocket extends EventTarget {
  #url;
  #first;
  #make;
  #clock;
  #random;
  /** @type {WebSocket | undefined} */ #socket;
  #taken = false;
  /** @type {number | undefined} when the first attempt began, or the socket was lost */ #lostAt;
  #graceMs = FIRST_CALL_MS;
  #attempts = 0;
  #closed = false;
  #heardAt = 0;
  #pingedAt = 0;
  #stopTimer = () => {};
  #stopPings = () => {};

  /** Milliseconds there and back, of the last ping; null before the first answer. */
  rttMs = /** @type {number | null} */ (null);
  /** How often the socket was lost. */
  losses = 0;

  /**
   * @param {string} url
   * @param {object} options
   * @param {() => string | Promise<string>} options.first makes the first message of every
   *   connection
   * @param {(url: string) => WebSocket} [options.make] the browser's own, if none is given
   * @param {import("./clock.js").Clock} [options.clock]
   * @param {() => number} [options.random] 0 to 1
   */
  constructor(url, { first, make = openSocket, clock = PAGE_CLOCK, random = Math.random }) {
    super();
    this.#url = url;
    this.#first = first;
    this.#make = make;
    this.#clock = clock;
    this.#random = random;
  }

  open() {
    this.#lostAt = this.#clock.now();
    this.#connect();
  }

  /**
   * The server took us in. From here on a lost socket has `graceMs` to come back.
   *
   * @param {number} graceMs
   */
  confirm(graceMs) {
    this.#stopTimer();
    this.#taken = true;
    this.#graceMs = graceMs;
    this.#lostAt = undefined;
    this.#attempts = 0;
    this.#ping();
  }

  /**
   * Send, if there is a connection.
   *
   * @param {string | ArrayBuffer} data
   * @returns {boolean} whether it was sent; not whether it arrives
   */
  send(data) {
    if (this.#socket?.readyState !== 1) return false;
    this.#socket.send(data);
    return true;
  }

  /** Bytes that were sent and have not left. */
  get backlogBytes() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** The network may be back: do not wait for the next attempt. */
  retryNow() {
    if (this.#closed || this.#socket || this.#lostAt === undefined) return;
    this.#stopTimer();
    this.#connect();
  }

  /** Close for good, without an event. Idempotent. */
  close() {
    this.#closed = true;
    this.#abandon();
  }

  #connect() {
    const socket = this.#make(this.#url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#stopTimer = this.#clock.after(CONNECT_MS, () => this.#lose(ABNORMAL));
    socket.onopen = () => {
      this.#stopTimer();
      this.#heardAt = this.#pingedAt = this.#clock.now();
      this.#watch();
      this.#greet(socket);
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code }) => this.#lose(code);
  }

  /** @param {WebSocket} socket */
  #greet(socket) {
    const first = this.#first();
    if (typeof first === "string") this.#introduce(socket, first);
    else void first.then((text) => this.#introduce(socket, text));
  }

  /** @param {WebSocket} socket @param {string} first */
  #introduce(socket, first) {
    if (this.#socket !== socket) return;
    socket.send(first);
    const patienceMs = this.#taken ? DEAD_MS : READY_MS;
    this.#stopTimer = this.#clock.after(patienceMs, () => this.#lose(ABNORMAL));
  }

  /** Take no notice of the socket any more. */
  #abandon() {
    this.#stopTimer();
    this.#stopPings();
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = undefined;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** @param {string | ArrayBuffer} data */
  #receive(data) {
    this.#heardAt = this.#clock.now();
    let message;
    try {
      message = decode(data);
    } catch (error) {
      if (error instanceof ProtocolError) return;
      throw error;
    }
    if (message.type === "pong") {
      this.rttMs = Math.max(0, Math.round(this.#heardAt - message.t));
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  #ping() {
    this.#pingedAt = this.#clock.now();
    this.send(encode({ type: "ping", t: Math.floor(this.#pingedAt) }));
  }

  #watch() {
    this.#stopPings = this.#clock.after(PING_MS, () => {
      const answered = this.#heardAt >= this.#pingedAt;
      if (!answered && this.#clock.now() - this.#pingedAt >= DEAD_MS) {
        this.#lose(ABNORMAL);
        return;
      }
      if (answered && this.#lostAt === undefined) this.#ping();
      this.#watch();
    });
  }

  /** @param {number} code of the close event */
  #lose(code) {
    const had = this.#lostAt === undefined;
    this.#abandon();
    if (this.#closed) return;
    const outcome = closeOutcome(code);
    if (outcome !== "resume") {
      this.#end({ code, outcome });
      return;
    }
    if (had) {
      this.#lostAt = this.#clock.now();
      this.losses++;
      this.dispatchEvent(new CustomEvent("down", { detail: { code } }));
      if (this.#closed) return; // Whoever heard it had enough.
    }
    this.#retryLater(code);
  }

  /** @param {number} code of the last close event */
  #retryLater(code) {
    const delay = Math.max(this.#delay(), code === TOO_FAST ? TOO_FAST_MS : 0);
    const spent = this.#clock.now() - /** @type {number} */ (this.#lostAt);
    if (spent + delay > this.#graceMs) {
      this.#end({ code, outcome: "lost" });
      return;
    }
    this.#stopTimer = this.#clock.after(delay, () => this.#connect());
  }

  /** At once, then 250 ms and doubling; each with up to half of it left to chance. */
  #delay() {
    const step = this.#attempts++;
    if (!step) return RETRY_FIRST_MS * (0.5 + this.#random() / 2);
    return Math.min(RETRY_MAX_MS, RETRY_BASE_MS * 2 ** (step - 1)) * (0.5 + this.#random() / 2);
  }

  /** @param {Over} detail */
  #end(detail) {
    this.close();
    this.dispatchEvent(new CustomEvent("over", { detail }));
  }
}

/** @param {string} url */
function openSocket(url) {
  return new WebSocket(url);
}
