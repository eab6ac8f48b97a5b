// @ts-check
import { Captions } from "./captions.js";
import { IDLE, REASONS } from "./call-state.js";
import { PAGE_CLOCK } from "./clock.js";
import { encode } from "./protocol.js";
import { CallSocket } from "./socket.js";
import { Uplink } from "./uplink.js";

const HANG_UP_MS = 2000;
/** After coming back the stored items arrive; what was typed and is not among them was lost. */
const RESEND_MS = 1500;
const RESTARTING = 4512;
const UNKNOWN_CALL = 4410;

/**
 * Where the agent's sound goes.
 *
 * @typedef {object} Loudspeaker
 * @property {(sound: import("./protocol.js").Audio) => void} play
 * @property {(responseId: number) => void} finish all of that response's sound was given
 * @property {(responseId: number) => void} clear be silent at once, and say `cut` on the call
 * @property {() => Promise<void> | void} forget be silent at once, and drop everything; done when
 *   the last playhead was told
 */

/**
 * The client's side of one call: messages in, a state to show out. It knows no page and no sound.
 *
 * Fires `change` (the state or the captions are new), `ready` (CustomEvent<Ready>, at the start
 * and on every return), `item` (CustomEvent<Item>) and `end` (the last state; later only
 * captions change).
 */
export class Call extends EventTarget {
  captions = new Captions();
  #state = IDLE;
  #options;
  #clock;
  #loudspeaker;
  #socket;
  #uplink;
  /** @type {import("./protocol.js").CallError | null} */ #fatal = null;
  /** @type {Promise<void> | void} until the playhead stands still */ #silenced = undefined;
  /** @type {import("./protocol.js").Playhead | null} */ #playhead = null;
  #stopTimer = () => {};
  #token = "";
  #tokenSent = false;
  /** The last socket was closed by a server that restarts. */ #restarting = false;

  /**
   * @param {object} options
   * @param {string} options.url of the socket
   * @param {string} options.agent slug
   * @param {Loudspeaker} options.loudspeaker
   * @param {number | null} options.microphoneRateHz null: typed text only
   * @param {boolean} [options.silent] the loudspeaker plays nothing, so that it has nothing to report
   * @param {string | (() => Promise<string>)} [options.token] a function gives a new one every time
   * @param {boolean} [options.consent] the caller agreed to what the page says of the call
   * @param {string} [options.language]
   * @param {import("./protocol.js").Turns} [options.turns]
   * @param {Record<string, unknown>} [options.metadata]
   * @param {import("./clock.js").Clock} [options.clock]
   * @param {(url: string) => WebSocket} [options.make]
   * @param {() => number} [options.random]
   */
  constructor(options) {
    super();
    const { url, loudspeaker, clock = PAGE_CLOCK, make, random } = options;
    this.#options = options;
    this.#clock = clock;
    this.#loudspeaker = loudspeaker;
    this.#socket = new CallSocket(url, { first: () => this.#greeting(), clock, make, random });
    this.#uplink = new Uplink(this.#socket, options.microphoneRateHz ?? 0);
    this.#socket.addEventListener("message", (event) => this.#receive(detailOf(event)));
    this.#socket.addEventListener("down", (event) => this.#lost(detailOf(event).code));
    this.#socket.addEventListener("over", (event) => this.#over(detailOf(event)));
  }

  get state() {
    return this.#state;
  }

  get rttMs() {
    return this.#socket.rttMs;
  }

  /** What went, and what went wrong: for the curious. */
  get counts() {
    return { ...this.#uplink.counts, socketLosses: this.#socket.losses };
  }

  start() {
    const { turns = "auto", token = "" } = this.#options;
    this.#set({ stage: "connecting", turns });
    if (typeof token === "function") {
      void this.#renewToken(token).then((got) => got && this.#socket.open());
    } else {
      this.#token = token;
      this.#socket.open();
    }
  }

  /** Stop for good, without a word: the page goes away. */
  close() {
    this.#stopTimer();
    this.#socket.close();
  }

  /** The network may be back. */
  retryNow() {
    this.#socket.retryNow();
  }

  // From the caller

  /** @param {import("./uplink.js").Frame} frame of the microphone */
  hear(frame) {
    const { stage } = this.#state;
    if (stage === "live") this.#uplink.send(frame);
    if (stage === "reconnecting") this.#uplink.keep(frame);
  }

  /** @param {string} text @returns {boolean} whether there was something to say */
  type(text) {
    const trimmed = text.trim();
    const { stage } = this.#state;
    if (!trimmed || stage === "idle" || stage === "ended") return false;
    this.captions.typed(trimmed);
    if (stage === "live") this.#send({ type: "text", text: trimmed });
    this.#changed();
    return true;
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.#set({ muted });
    this.#sendLive({ type: "mute", muted });
  }

  /** @param {import("./protocol.js").Turns} turns */
  takeTurns(turns) {
    if (turns === this.#state.turns) return;
    if (this.#state.talking) this.talk(false);
    this.#set({ turns });
    this.#sendLive({ type: "turns", mode: turns });
  }

  /** @param {boolean} talking */
  talk(talking) {
    if (talking === this.#state.talking) return;
    this.#set({ talking });
    this.#sendLive({ type: "talk", pressed: talking });
  }

  hangUp() {
    if (this.#state.stage === "ended") return;
    const sent = this.#sendLive({ type: "hang_up" });
    this.#finish({ reason: "caller_hung_up", message: "" });
    if (sent) {
      this.#stopTimer = this.#clock.after(HANG_UP_MS, () => this.#socket.close());
    } else {
      this.#socket.close();
    }
  }

  // From the loudspeaker

  /**
   * What came out of the loudspeaker, told to the server.
   *
   * @param {number} responseId @param {number} playedMs @param {number} bufferedMs
   */
  played(responseId, playedMs, bufferedMs) {
    this.playhead(responseId, playedMs);
    const heard = { response_id: responseId, played_ms: playedMs };
    this.#report({ type: "played", ...heard, buffered_ms: bufferedMs });
  }

  /**
   * What came out of the loudspeaker, for the captions alone.
   *
   * @param {number} responseId @param {number} playedMs
   */
  playhead(responseId, playedMs) {
    if (responseId >= (this.#playhead?.response_id ?? 0)) {
      this.#playhead = { response_id: responseId, played_ms: playedMs };
    }
    this.captions.played(responseId, playedMs);
    this.#changed();
  }

  /** @param {number} responseId @param {number} playedMs */
  cut(responseId, playedMs) {
    this.playhead(responseId, playedMs);
    this.captions.cut(responseId);
    this.#report({ type: "cut", response_id: responseId, played_ms: playedMs });
    this.#changed();
  }

  // From the server

  /** @returns {string | Promise<string>} the first message of a connection */
  #greeting() {
    const { token } = this.#options;
    // A token opens one call, and whether the socket that was lost had used it is not known.
    const used = this.#tokenSent && !this.#state.ready && typeof token === "function";
    if (!this.#silenced && !used) return encode(this.#first());
    // Where the voice stopped must be known before it can be asked to go on from there.
    return Promise.resolve(this.#silenced)
      .then(() => used && this.#renewToken(token))
      .then(() => encode(this.#first()));
  }

  /**
   * @param {() => Promise<string>} take
   * @returns {Promise<boolean>} false: the call is over
   */
  async #renewToken(take) {
    try {
      this.#token = await take();
    } catch {
      this.#finish({ reason: "token_failed", message: "" });
      this.#socket.close();
    }
    return this.#state.stage !== "ended";
  }

  /** @returns {import("./protocol.js").Start} */
  #first() {
    const { agent, consent, language = "", silent, microphoneRateHz, metadata } = this.#options;
    const { ready, turns } = this.#state;
    this.#tokenSent = true;
    return {
      type: "start",
      agent,
      token: this.#token,
      ...(consent && { consent }),
      language,
      microphone: microphoneRateHz === null ? null : { rate_hz: microphoneRateHz },
      turns,
      capabilities: silent ? [] : ["playback"],
      metadata: metadata ?? {},
      resume: ready && {
        call_id: ready.call_id,
        secret: ready.resume_secret,
        played: this.#playhead,
      },
    };
  }

  /** @param {import("./protocol.js").ServerMessage} message */
  #receive(message) {
    switch (message.type) {
      case "audio":
        if (this.#state.stage === "live") this.#loudspeaker.play(message);
        return;
      case "audio_end":
        this.captions.audioEnd(message.response_id, message.length_ms);
        this.#loudspeaker.finish(message.response_id);
        return;
      case "clear":
        this.#loudspeaker.clear(message.response_id);
        return;
      case "ready":
        return this.#ready(message);
      case "transcript":
        this.captions.transcript(message);
        break;
      case "response_text":
        this.captions.responseText(message);
        break;
      case "item":
        this.captions.item(message.item);
        this.dispatchEvent(new CustomEvent("item", { detail: message.item }));
        break;
      default:
        return this.#note(message);
    }
    this.#changed();
  }

  /** @param {import("./protocol.js").ServerMessage} message about the call itself */
  #note(message) {
    const { tools, error } = this.#state;
    switch (message.type) {
      case "phase":
        return this.#set({ phase: message.phase });
      case "tool": {
        const others = tools.filter((tool) => tool.tool_call_id !== message.tool_call_id);
        return this.#set({ tools: message.running ? [...others, message] : others });
      }
      case "turn":
        return message.latency_ms === null ? undefined : this.#set({ turn: message });
      case "error": {
        const { code, message: text, fatal } = message;
        if (fatal) this.#fatal = message;
        return this.#set({ error: { code, message: text, count: (error?.count ?? 0) + 1 } });
      }
      case "pong":
        return this.#changed();
      case "end":
        return this.#finish({ reason: message.reason, message: "" });
    }
  }

  /** @param {import("./protocol.js").Ready} ready */
  #ready(ready) {
    if (this.#state.stage === "ended") return;
    this.#socket.confirm(ready.limits.resume_ms);
    const startedAt = this.#state.startedAt || this.#clock.now();
    this.#fatal = null;
    this.#set({ stage: "live", ready, error: null, startedAt });
    if (ready.resumed) this.#catchUp(ready);
    else for (const text of this.captions.unstored) this.#send({ type: "text", text });
    this.dispatchEvent(new CustomEvent("ready", { detail: ready }));
  }

  /** @param {import("./protocol.js").Ready} ready of a call that we came back to */
  #catchUp(ready) {
    this.#uplink.sendAgain(ready.microphone_position);
    const { muted, turns, talking } = this.#state;
    if (ready.turns !== turns) this.#send({ type: "turns", mode: turns });
    this.#send({ type: "mute", muted });
    if (turns === "push_to_talk") this.#send({ type: "talk", pressed: talking });
    this.#stopTimer = this.#clock.after(RESEND_MS, () => {
      for (const text of this.captions.unstored) this.#sendLive({ type: "text", text });
    });
  }

  /** @param {number} code of the close event */
  #lost(code) {
    if (this.#state.stage === "ended") return this.#socket.close();
    this.#restarting = code === RESTARTING;
    this.#stopTimer();
    this.#silenced = this.#loudspeaker.forget();
    this.#set({ stage: "reconnecting", tools: [] });
  }

  /** @param {import("./socket.js").Over} over */
  #over({ code, outcome }) {
    const begun = this.#state.startedAt > 0;
    const lost = begun ? "connection_lost" : "unreachable";
    const told = this.#fatal?.code ?? REASONS[code] ?? "error";
    if (this.#restarting && (outcome === "lost" || code === UNKNOWN_CALL)) {
      return this.#finish({ reason: "restarted", message: "" });
    }
    this.#finish({
      reason: outcome === "lost" ? (this.#fatal?.code ?? lost) : told,
      message: this.#fatal?.message ?? "",
    });
  }

  /** @param {{ reason: string, message: string }} end */
  #finish(end) {
    if (this.#state.stage === "ended") return;
    this.#stopTimer();
    this.#loudspeaker.forget();
    this.captions.close();
    const endedAt = this.#clock.now();
    this.#set({ stage: "ended", end, endedAt, tools: [], talking: false });
    this.dispatchEvent(new Event("end"));
  }

  // Sending

  /** @param {import("./protocol.js").ClientMessage} message */
  #send(message) {
    return this.#socket.send(encode(message));
  }

  /** @param {import("./protocol.js").ClientMessage} message of a loudspeaker that plays */
  #report(message) {
    if (!this.#options.silent) this.#sendLive(message);
  }

  /** @param {import("./protocol.js").ClientMessage} message that means nothing to no call */
  #sendLive(message) {
    return this.#state.stage === "live" && this.#send(message);
  }

  /** @param {Partial<import("./call-state.js").CallState>} changes */
  #set(changes) {
    this.#state = Object.freeze({ ...this.#state, ...changes });
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {Event} event @returns {any} */
function detailOf(event) {
  return /** @type {CustomEvent} */ (event).detail;
}
