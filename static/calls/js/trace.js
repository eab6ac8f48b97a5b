// @ts-check
import { strength } from "./picture.js";

const STEP_MS = 250;
const STEPS_MAX = 4 * 3600;
const BARS = 96;
const HEIGHT = 0.5;

/** Who spoke when, over a whole call; drawn when it is over: the agent above, the caller below. */
export class Trace {
  /** @type {{ agent: number, caller: number }[]} the loudest of every step */ #steps = [];
  #begun = performance.now();

  /** @param {{ microphone: number, output: number }} levels RMS, 0 to 1 */
  hear({ microphone, output }) {
    const step = Math.floor((performance.now() - this.#begun) / STEP_MS);
    if (step >= STEPS_MAX) return;
    while (this.#steps.length <= step) this.#steps.push({ agent: 0, caller: 0 });
    const now = /** @type {{ agent: number, caller: number }} */ (this.#steps[step]);
    now.agent = Math.max(now.agent, strength(output));
    now.caller = Math.max(now.caller, strength(microphone));
  }

  /** @param {SVGElement} svg gets one bar up and one down for each part of the call */
  draw(svg) {
    const bars = Math.min(BARS, this.#steps.length);
    svg.setAttribute("viewBox", `0 0 ${Math.max(bars, 1)} 1`);
    svg.replaceChildren(box("line", 0, HEIGHT - 0.006, bars, 0.012));
    for (let i = 0; i < bars; i++) {
      const { agent, caller } = this.#loudest(i, bars);
      svg.append(box("agent", i + 0.15, HEIGHT - agent * HEIGHT, 0.7, agent * HEIGHT));
      svg.append(box("caller", i + 0.15, HEIGHT, 0.7, caller * HEIGHT));
    }
  }

  /** @param {number} i @param {number} bars */
  #loudest(i, bars) {
    const from = Math.floor((i * this.#steps.length) / bars);
    const part = this.#steps.slice(from, Math.floor(((i + 1) * this.#steps.length) / bars));
    return {
      agent: Math.max(...part.map(({ agent }) => agent)) ** 2,
      caller: Math.max(...part.map(({ caller }) => caller)) ** 2,
    };
  }
}

/** @param {string} kind @param {number} x @param {number} y @param {number} width @param {number} height */
function box(kind, x, y, width, height) {
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const shape = { x, y, width, height, class: `vc-bar-${kind}` };
  for (const [name, value] of Object.entries(shape)) rect.setAttribute(name, String(value));
  return rect;
}
