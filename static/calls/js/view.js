// @ts-check
import { ConnectionView } from "./connection-view.js";
import { clock, duration } from "./format.js";
import { Figures } from "./figures.js";
import { Picture, strength } from "./picture.js";
import { Trace } from "./trace.js";
import { TranscriptView } from "./transcript-view.js";
import {
  AGREE,
  GOOD_ENDINGS,
  MICROPHONE_PROBLEMS,
  activityOf,
  endingOf,
  situation,
  troubleOf,
} from "./words.js";

const TROUBLE_MS = 7000;
/** Louder than this, somebody speaks: on the picture's scale. */
const LOUD = 0.55;

/**
 * @typedef {object} Settings
 * @property {string} name of the agent
 * @property {string} notice
 * @property {string} consent
 * @property {boolean} mustAgree no call begins before the caller agreed to it
 * @property {boolean} recorded the call will be recorded
 * @property {string} headingLevel
 */

/** Shows a session. It changes only what is different. */
export class View {
  #parts;
  #settings;
  #picture;
  #transcript;
  #figures;
  #connection;
  /** @type {import("./session.js").CallSession | undefined} */ #session;
  #frame = 0;
  #announced = "";
  #troubleCount = 0;
  #stage = "";
  #trace = new Trace();

  /** @param {import("./markup.js").Parts} parts @param {Settings} settings */
  constructor(parts, settings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#picture = new Picture(parts.canvas);
    this.#transcript = new TranscriptView(parts);
    this.#figures = new Figures(parts);
    this.#connection = new ConnectionView(parts, this.#figures);
    parts.name.textContent = settings.name;
    parts.name.setAttribute("aria-level", settings.headingLevel);
    parts.face.textContent = settings.name.charAt(0).toUpperCase();
    show(parts.notice, settings.notice);
    show(parts.consent, settings.consent || (settings.recorded ? "This call is recorded." : ""));
    set(parts.agreeText, AGREE.call);
    set(parts.typeOnly, settings.mustAgree ? AGREE.type : AGREE.typeOnly);
    parts.typedLabel.textContent = `Type a message to ${settings.name}`;
    parts.callButton.setAttribute("aria-label", `Call ${settings.name}`);
    this.#render();
  }

  /** @param {import("./session.js").CallSession | undefined} session */
  set session(session) {
    this.#session = session;
    this.#troubleCount = 0;
    this.#connection.session = session;
    this.#render();
  }

  close() {
    cancelAnimationFrame(this.#frame);
    this.#connection.session = undefined;
    this.#picture.close();
  }

  /** The colours are new. */
  redraw() {
    this.#picture.redraw();
  }

  /** Go where the caller begins, or goes on. */
  focusFirst() {
    const { agreeButton, callButton, retryButton, muteButton, typed, againButton } = this.#parts;
    const first = [agreeButton, callButton, retryButton, againButton, muteButton, typed];
    first.find((element) => element.checkVisibility())?.focus({ preventScroll: true });
  }

  /** Something is new; it will be shown with the next frame. */
  update() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.#render());
  }

  /** @param {{ microphone: number, output: number }} levels */
  hear(levels) {
    const audible = this.#hears();
    const heard = { ...levels, microphone: audible ? levels.microphone : 0 };
    this.#picture.hear(heard);
    if (this.#session?.stage === "live") this.#trace.hear(heard);
    if (this.#session?.state.muted) this.update();
  }

  /** Whether the caller's voice goes out. */
  #hears() {
    const session = this.#session;
    if (!session || session.stage !== "live" || session.state.muted) return false;
    return session.state.turns === "auto" || session.pressed;
  }

  #render() {
    const session = this.#session;
    const stage = session?.stage ?? "idle";
    this.#parts.root.dataset.stage = session?.problem && stage === "idle" ? "problem" : stage;
    this.#renderStage(stage);
    this.#renderProblem(stage);
    if (session) {
      this.#renderCall(session, stage);
      this.#transcript.render(session.captions?.lines() ?? [], this.#settings.name);
    }
    this.#parts.root.dataset.captions = this.#parts.captions.hidden ? "hidden" : "shown";
    this.#picture.show(this.#mood(stage));
    this.#stageChanged(stage);
  }

  /** What is there at all. @param {import("./session.js").Stage} stage */
  #renderStage(stage) {
    const { parts, inCall } = { parts: this.#parts, inCall: stage === "live" || stage === "reconnecting" };
    const pushToTalk = this.#session?.state.turns === "push_to_talk";
    const problem = Boolean(this.#session?.problem) && stage === "idle";
    const hasMicrophone = this.#session?.hasMicrophone ?? false;
    const { mustAgree } = this.#settings;
    hide(parts.callButton, stage !== "idle" || problem || mustAgree);
    hide(parts.agreeButton, !mustAgree);
    hide(parts.holdButton, !(inCall && pushToTalk && hasMicrophone));
    hide(parts.face, stage === "idle" ? !problem && !mustAgree : inCall && pushToTalk && hasMicrophone);
    hide(parts.invitation, stage !== "idle" || problem);
    hide(parts.controls, !(inCall || stage === "connecting"));
    hide(parts.facts, !inCall);
    hide(parts.captions, stage === "idle" || stage === "asking");
    hide(parts.composer, stage === "ended");
    hide(parts.curious, stage === "ended");
    hide(parts.after, stage !== "ended");
    hide(parts.muteButton, !hasMicrophone);
    hide(parts.turnsButton, !hasMicrophone);
    if (!inCall) hide(parts.sound, true);
  }

  /** @param {import("./session.js").Stage} stage */
  #renderProblem(stage) {
    const { problem, problemTitle, problemText, problemTodo, typeInstead, retryButton } = this.#parts;
    const explained = this.#session?.problem ? MICROPHONE_PROBLEMS[this.#session.problem] : null;
    hide(problem, !explained || stage === "ended");
    if (!explained) return;
    set(problemTitle, explained.title);
    set(problemText, explained.text);
    set(problemTodo, explained.todo);
    hide(typeInstead, stage !== "idle");
    hide(retryButton, stage !== "idle");
  }

  /**
   * @param {import("./session.js").CallSession} session
   * @param {import("./session.js").Stage} stage
   */
  #renderCall(session, stage) {
    const { state, pressed, hasMicrophone, silent } = session;
    const { muted, turns } = state;
    const parts = this.#parts;
    const now = { stage, phase: state.phase, muted, pressed, hasMicrophone, silent };
    const loud = strength(session.levels.microphone) > LOUD;
    const pushToTalk = turns === "push_to_talk";
    set(parts.phase, session.blocked ? "Tap anywhere to turn the sound on" : situation({ ...now, loud, pushToTalk }, this.#settings.name));
    if (stage === "live") this.#renderTrouble(state.error);
    else set(parts.trouble, "");
    set(parts.activity, state.tools.map(({ name }) => activityOf(name)).join(" "));
    hide(parts.activity, parts.trouble.textContent !== "");
    press(parts.muteButton, muted);
    set(parts.muteText, muted ? "Unmute" : "Mute");
    press(parts.turnsButton, pushToTalk);
    press(parts.holdButton, pressed);
    set(parts.holdText, pressed ? "Talking" : "Hold to talk");
    hide(parts.recorded, !state.ready?.recording);
    if (state.ready) show(parts.notice, state.ready.notice || this.#settings.notice);
    this.#figures.showTurn(state.turn);
    if (stage === "ended") this.#renderEnd(session);
  }

  /** @param {import("./call-state.js").CallState["error"]} error */
  #renderTrouble(error) {
    if (!error || error.count === this.#troubleCount) return;
    this.#troubleCount = error.count;
    set(this.#parts.trouble, troubleOf(error));
    this.#announce(troubleOf(error));
    setTimeout(() => {
      if (error.count === this.#troubleCount) set(this.#parts.trouble, "");
      this.update();
    }, TROUBLE_MS);
  }

  /** @param {import("./session.js").CallSession} session */
  #renderEnd({ state, captions }) {
    const { afterTitle, afterText, downloadButton } = this.#parts;
    const { end, startedAt, endedAt } = state;
    if (!end) return;
    const good = GOOD_ENDINGS.has(end.reason);
    set(afterTitle, good ? "Call ended" : startedAt ? "The call broke off" : "No call");
    const length = duration(endedAt - startedAt);
    set(afterText, endingOf(end, { name: this.#settings.name, length }));
    set(this.#parts.traceLength, clock(endedAt - startedAt));
    const lines = captions?.lines().length ?? 0;
    hide(downloadButton, lines === 0);
    hide(this.#parts.captions, lines === 0);
    hide(this.#parts.trace, !startedAt);
  }

  /** @param {import("./session.js").Stage} stage @returns {import("./picture.js").Mood} */
  #mood(stage) {
    if (stage === "asking" || stage === "connecting" || stage === "reconnecting") return "waiting";
    if (stage !== "live" || !this.#session) return "still";
    const { phase } = this.#session.state;
    return phase === "ending" ? "speaking" : phase;
  }

  /** @param {string} stage */
  #stageChanged(stage) {
    if (stage === this.#stage) return;
    const before = this.#stage;
    this.#stage = stage;
    if (!before) return;
    const { afterTitle, afterText, phase, problem } = this.#parts;
    if (stage === "ended") {
      this.#trace.draw(/** @type {SVGElement} */ (this.#parts.trace.firstElementChild));
      this.#announce(`${afterTitle.textContent}. ${afterText.textContent}`);
      afterTitle.focus({ preventScroll: true });
    } else if (stage === "live") {
      const again = before === "reconnecting";
      this.#announce(again ? "Connected again" : "Connected");
      if (!again) this.#begin();
    } else if (!problem.hidden) {
      this.#parts.retryButton.focus();
    } else {
      this.#announce(phase.textContent ?? "");
    }
  }

  /** The button that was clicked is gone: go where the caller goes on. */
  #begin() {
    this.#trace = new Trace();
    const { muteButton, typed } = this.#parts;
    (muteButton.hidden ? typed : muteButton).focus({ preventScroll: true });
  }

  /** @param {string} text */
  #announce(text) {
    // The same words twice are announced twice only if they differ.
    this.#announced = text === this.#announced ? `${text}\u00a0` : text;
    this.#parts.announcer.textContent = this.#announced;
  }
}

/** @param {HTMLElement} element @param {string} text */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {HTMLElement} element @param {string} text */
function show(element, text) {
  set(element, text);
  hide(element, !text);
}

/** @param {HTMLElement} element @param {boolean} hidden */
function hide(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/** @param {HTMLElement} element @param {boolean} pressed */
function press(element, pressed) {
  element.setAttribute("aria-pressed", String(pressed));
}
