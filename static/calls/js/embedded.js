// @ts-check
import { frameProblem, problemLine } from "./frame-problem.js";
import { HostLine } from "./host-line.js";
import { applyLook } from "./look.js";

const TOKEN_MS = 20_000;
/** A page without embed.js does not answer. */
const ANSWER_MS = 1500;
/** With captions a frame wants to be so high. */
const CALL_HEIGHT_PX = 620;

/**
 * @typedef {object} Embeddable the element, as far as the page around it may use it
 * @property {() => import("./session.js").Stage} stage
 * @property {() => void} press as the caller presses the button; what has to be agreed to first
 *   waits for the caller
 * @property {() => void} hangUp
 * @property {(seen: boolean) => void} focusFirst seen: on the first button, else beside it
 * @property {() => void} redraw colours are new
 */

/** A call in a frame of somebody else's page: what that page is told, and what it may ask for. */
export class Embedded {
  #element;
  #call;
  #line;
  #signal;
  #transcript = false;
  #answered = false;
  #complained = false;
  /** @type {import("./look.js").Look} */ #look = {};
  /** @type {Map<number, (token: string) => void>} */ #asked = new Map();
  #lastAsked = 0;
  /** A token that came before it was needed. */ #held = "";
  #height = 0;

  /**
   * @param {HTMLElement} element
   * @param {Embeddable} call
   * @param {HTMLElement} stage whose height the frame should have
   * @param {AbortSignal} signal ends it
   */
  constructor(element, call, stage, signal) {
    this.#element = element;
    this.#call = call;
    this.#signal = signal;
    this.#line = new HostLine(element.getAttribute("host-origin") ?? "");
    this.#line.listen((type, message) => this.#take(type, message), signal);
    this.#forward();
    for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) {
      matchMedia(query).addEventListener("change", () => this.#applyLook(), { signal });
    }
    this.#height = this.#wanted(stage);
    this.#line.tell("ready", {
      agent: element.getAttribute("agent") ?? "",
      microphone: frameProblem() === "",
      height: this.#height,
    });
    this.#measure(stage);
    setTimeout(() => this.#answered || this.complain(), ANSWER_MS);
  }

  /**
   * A token of the page around.
   *
   * @returns {Promise<string>}
   * @throws {Error} it gives none
   */
  askForToken() {
    const held = this.#held;
    this.#held = "";
    if (held) return Promise.resolve(held);
    const id = ++this.#lastAsked;
    const answer = new Promise((resolve, reject) => {
      this.#asked.set(id, (token) => (token ? resolve(token) : reject(new Error("no token"))));
      setTimeout(() => reject(new Error("no token in time")), TOKEN_MS);
    });
    this.#line.tell("token-needed", { id });
    return answer.finally(() => this.#asked.delete(id));
  }

  /** Tell the developers of the page around, once, why there is no microphone. */
  complain() {
    const problem = frameProblem();
    // embed.js knows better what is missing in its page, and says so there.
    if (!problem || this.#answered || this.#complained || this.#signal.aborted) return;
    this.#complained = true;
    console.error(problemLine(problem));
  }

  /** @param {string} type @param {Record<string, any>} message */
  #take(type, message) {
    if (type === "settings") this.#set(message);
    if (type === "open") this.#call.focusFirst(message.key === true);
    if (type === "start") this.#call.press();
    if (type === "hang-up") this.#call.hangUp();
    if (type === "token") this.#takeToken(message);
  }

  /** @param {Record<string, any>} message */
  #set({ look, language, transcript }) {
    this.#answered = true;
    this.#transcript = transcript === true;
    if (typeof language === "string" && language) this.#element.setAttribute("language", language);
    this.#look = look ?? {};
    this.#applyLook();
  }

  #applyLook() {
    applyLook(this.#look, document.documentElement);
    this.#call.redraw();
  }

  /** @param {Record<string, any>} message */
  #takeToken({ id, token }) {
    const given = typeof token === "string" ? token : "";
    const answer = this.#asked.get(id) ?? [...this.#asked.values()][0];
    if (answer) answer(given);
    else this.#held = given;
  }

  #forward() {
    const options = { signal: this.#signal };
    /** @param {string} type @param {(detail: any) => void} tell */
    const on = (type, tell) =>
      this.#element.addEventListener(type, (event) => tell(/** @type {CustomEvent} */ (event).detail), options);
    on("call-state", (detail) => this.#line.tell("state", detail));
    on("call-start", (detail) => this.#line.tell("start", this.#line.nameless ? {} : detail));
    on("call-item", (detail) => this.#transcript && this.#line.tell("item", { item: detail }));
    on("call-end", (detail) => this.#line.tell("end", detail));
    on("call-error", (detail) => {
      this.#line.tell("error", detail);
      if (detail.code === "microphone_policy") this.complain();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.defaultPrevented) this.#line.tell("close");
    }, options);
  }

  /** @param {HTMLElement} stage @returns {number} pixels */
  #wanted(stage) {
    const captions = !["idle", "asking"].includes(this.#call.stage());
    return captions ? CALL_HEIGHT_PX : Math.ceil(stage.scrollHeight) + 72;
  }

  /** @param {HTMLElement} stage */
  #measure(stage) {
    const observer = new ResizeObserver(() => {
      const height = this.#wanted(stage);
      if (height === this.#height) return;
      this.#height = height;
      this.#line.tell("size", { height });
    });
    observer.observe(stage);
    this.#signal.addEventListener("abort", () => observer.disconnect());
  }
}
