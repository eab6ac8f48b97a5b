// @ts-check
import { Embedded } from "./embedded.js";
import { duration, transcriptText } from "./format.js";
import { holdToTalk } from "./hold-to-talk.js";
import { build } from "./markup.js";
import { remembered } from "./remembered.js";
import { CallSession } from "./session.js";
import { SoundPanel } from "./sound-panel.js";
import { TokenSource } from "./token-source.js";
import { View } from "./view.js";
import { endingOf } from "./words.js";

/**
 * A call in a page: `<voice-call agent="demo">`. docs/page.md says what it takes and tells.
 *
 * It draws itself into its own light DOM; calls.css makes it look right.
 */
export class VoiceCall extends HTMLElement {
  /** @type {CallSession | undefined} */ #session;
  /** @type {View | undefined} */ #view;
  /** @type {Embedded | undefined} */ #embedded;
  /** @type {TokenSource | undefined} */ #tokens;
  #connected = new AbortController();
  #told = "";
  #toldError = "";
  /** The caller saw the consent text, and pressed a button all the same. */ #agreed = false;

  connectedCallback() {
    this.#connected = new AbortController();
    const parts = build(this);
    this.#view = new View(parts, {
      name: this.#name,
      notice: this.getAttribute("notice") ?? "",
      consent: this.getAttribute("consent") ?? "",
      mustAgree: this.#mustAgree,
      recorded: this.hasAttribute("recorded"),
      headingLevel: this.getAttribute("heading-level") ?? "2",
    });
    this.#listen(parts);
    if (this.hasAttribute("embedded")) this.#embed(parts);
    this.#tokens = this.#tokenSource();
  }

  disconnectedCallback() {
    this.hangUp();
    this.#connected.abort();
    this.#view?.close();
    this.#session = this.#view = this.#embedded = undefined;
  }

  // For the page around it

  /** @returns {import("./session.js").Stage} */
  get stage() {
    return this.#session?.stage ?? "idle";
  }

  /** Figures of this call; docs/page.md lists them. */
  get stats() {
    return this.#session?.stats ?? null;
  }

  /**
   * Begin a call. Call it from a click, with nothing awaited before: browsers want a gesture.
   *
   * @param {{ microphone?: boolean }} [options] false: typed text only
   * @returns {Promise<boolean>} whether it began; if not, the page says why, or asks the caller to
   *   agree to the consent text
   */
  async start({ microphone = true } = {}) {
    if (this.stage !== "idle" && this.stage !== "ended") return false;
    if (this.#mustAgree && !this.#agreed) {
      this.#view?.focusFirst();
      return false;
    }
    const session = new CallSession(this.#options());
    this.#session = session;
    this.#follow(session);
    return session.start({ microphone });
  }

  /** End the call. Idempotent. */
  hangUp() {
    this.#session?.hangUp();
  }

  /** What a button does: by it the caller takes note of the consent text. @param {boolean} microphone */
  #press(microphone) {
    this.#agreed = this.#consent !== "";
    void this.start({ microphone });
  }

  get #consent() {
    return this.getAttribute("consent") ?? "";
  }

  get #mustAgree() {
    return this.#consent !== "" && this.getAttribute("consent-mode") === "required";
  }

  get #name() {
    return this.getAttribute("agent-name") || this.getAttribute("agent") || "the agent";
  }

  /** @returns {import("./session.js").SessionOptions} */
  #options() {
    const agent = this.getAttribute("agent") ?? "";
    const path = this.getAttribute("ws-path") || `/ws/call/${agent}/`;
    const url = new URL(path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("call", madeUpName());
    return {
      url: url.href,
      agent,
      token: () => this.#tokens?.take() ?? Promise.resolve(""),
      consent: this.#agreed,
      language: this.getAttribute("language") ?? "",
      turns: this.getAttribute("turns") === "push_to_talk" ? "push_to_talk" : "auto",
      metadata: { page: location.pathname },
    };
  }

  #tokenSource() {
    return new TokenSource({
      token: this.getAttribute("token") ?? "",
      expiresInMs: Number(this.getAttribute("token-expires-in") ?? 0) * 1000,
      path: this.hasAttribute("token-wanted") ? "" : (this.getAttribute("token-path") ?? ""),
      ask: this.hasAttribute("token-wanted") ? () => this.#askAround() : null,
    });
  }

  #askAround() {
    return this.#embedded?.askForToken() ?? Promise.reject(new Error("nobody to ask"));
  }

  /** @param {import("./markup.js").Parts} parts */
  #embed(parts) {
    const call = {
      stage: () => this.stage,
      // Without a look at the consent text no call begins.
      press: () => (this.#consent && !this.#agreed ? this.#view?.focusFirst() : void this.start()),
      hangUp: () => this.hangUp(),
      /** @param {boolean} seen */
      focusFirst: (seen) => (seen ? this.#view?.focusFirst() : parts.stage.focus({ preventScroll: true })),
      redraw: () => this.#view?.redraw(),
    };
    this.#embedded = new Embedded(this, call, parts.stage, this.#connected.signal);
  }

  /** @param {CallSession} session */
  #follow(session) {
    const view = this.#view;
    if (!view) return;
    view.session = session;
    session.addEventListener("change", () => {
      if (session !== this.#session) return;
      view.update();
      this.#tellState();
      this.#tellErrors(session);
    });
    session.addEventListener("levels", () => session === this.#session && view.hear(session.levels));
    session.addEventListener("item", (event) => {
      this.#tell("call-item", /** @type {CustomEvent} */ (event).detail);
    });
    session.addEventListener("start", () => {
      const { ready } = session.state;
      this.#tell("call-start", { callId: ready?.call_id, agent: ready?.agent });
    });
    session.addEventListener("end", () => {
      const { end, startedAt, endedAt } = session.state;
      this.#tell("call-end", { reason: end?.reason, durationMs: Math.round(endedAt - startedAt) });
    });
  }

  #tellState() {
    const { stage } = this;
    const phase = stage === "live" ? (this.#session?.state.phase ?? "") : "";
    if (`${stage} ${phase}` === this.#told) return;
    this.#told = `${stage} ${phase}`;
    this.#tell("call-state", { stage, phase });
  }

  /** @param {CallSession} session */
  #tellErrors({ problem, state: { error } }) {
    const code = problem ? `microphone_${problem}` : (error?.code ?? "");
    const told = code && `${code} ${error?.count ?? 0}`;
    if (told === this.#toldError) return;
    this.#toldError = told;
    if (code) this.#tell("call-error", { code, message: problem ? "" : (error?.message ?? "") });
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }

  /** @param {import("./markup.js").Parts} parts */
  #listen(parts) {
    /** @param {HTMLElement} element @param {() => unknown} action */
    const click = (element, action) => element.addEventListener("click", action);
    for (const button of [parts.callButton, parts.agreeButton, parts.retryButton, parts.againButton]) {
      click(button, () => this.#press(true));
    }
    for (const button of [parts.typeInstead, parts.typeOnly]) {
      click(button, () => this.#press(false));
    }
    click(parts.hangUpButton, () => this.hangUp());
    click(parts.muteButton, () => this.#session?.mute(!this.#session.state.muted));
    click(parts.turnsButton, () => this.#toggleTurns());
    click(parts.downloadButton, () => this.#download());
    parts.composer.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#session?.type(parts.typed.value)) parts.typed.value = "";
    });
    holdToTalk(parts.holdButton, this.#holding(parts), this.#connected.signal);
    this.#soundPanel(parts);
  }

  /** @param {import("./markup.js").Parts} parts */
  #holding({ holdButton }) {
    return {
      press: () => void this.#session?.press(),
      release: () => this.#session?.release(),
      enabled: () => this.stage === "live" && !holdButton.hidden,
    };
  }

  #toggleTurns() {
    const session = this.#session;
    session?.takeTurns(session.state.turns === "auto" ? "push_to_talk" : "auto");
  }

  /** @param {import("./markup.js").Parts} parts */
  #soundPanel(parts) {
    const none = { microphones: [], speakers: [], microphone: "" };
    const panel = new SoundPanel(parts, {
      devices: async () => ({
        ...((await this.#session?.devices()) ?? none),
        speaker: remembered("speaker"),
      }),
      chooseMicrophone: (id) => void this.#session?.chooseMicrophone(id),
      chooseSpeaker: (id) => void this.#session?.chooseSpeaker(id),
      setVolume: (volume) => {
        if (this.#session) this.#session.volume = volume;
      },
    });
    parts.soundButton.addEventListener("click", () => {
      if (this.#session) panel.show(this.#session.volume, this.#session.hasMicrophone);
    });
    const { signal } = this.#connected;
    navigator.mediaDevices?.addEventListener("devicechange", () => void panel.refresh(), { signal });
  }

  #download() {
    const session = this.#session;
    if (!session?.captions || !session.state.end) return;
    const { startedAt, endedAt } = session.state;
    const now = new Date();
    const text = transcriptText(session.captions.lines(), {
      name: this.#name,
      when: now.toLocaleString(),
      ending: endingOf(session.state.end, { name: this.#name, length: duration(endedAt - startedAt) }),
    });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = `call-${now.toISOString().slice(0, 16).replace(/[T:]/g, "-")}.txt`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

/** For one call, so that a proxy can send all of its sockets to the same process. Opens nothing. */
function madeUpName() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
