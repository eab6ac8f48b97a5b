// @ts-check
import { STAGE_NAMES } from "./words.js";

/**
 * The last turn's latency and the state of the connection, for the curious.
 */
export class Figures {
  #parts;
  #shown = "";

  /** @param {import("./markup.js").Parts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /** @param {import("./protocol.js").Turn | null} turn */
  showTurn(turn) {
    const { latency, bar, stages } = this.#parts;
    const shown = JSON.stringify(turn);
    if (shown === this.#shown) return;
    this.#shown = shown;
    latency.textContent = turn ? `answered in ${seconds(turn.latency_ms ?? 0)}` : "";
    const parts = Object.entries(turn?.stages ?? {});
    bar.replaceChildren(...parts.map(([name, ms]) => segment(name, ms)));
    stages.replaceChildren(...parts.map(([name, ms]) => row(name, ms)));
  }

  /** @param {[string, string][]} entries name and value */
  showFigures(entries) {
    if (!this.#parts.curious.open) return;
    const { figures } = this.#parts;
    figures.replaceChildren(...entries.flatMap(([name, value]) => [cell("dt", name), cell("dd", value)]));
  }
}

/** @param {number} ms */
function seconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}

/** @param {string} name @param {number} ms */
function segment(name, ms) {
  const element = document.createElement("i");
  element.dataset.stage = name;
  element.style.setProperty("flex-grow", String(ms));
  return element;
}

/** @param {string} name @param {number} ms */
function row(name, ms) {
  const element = document.createElement("tr");
  const head = cell("th", STAGE_NAMES[name] ?? name);
  head.setAttribute("scope", "row");
  head.dataset.stage = name;
  element.append(head, cell("td", `${ms} ms`));
  return element;
}

/** @param {"dt" | "dd" | "th" | "td"} tag @param {string} text */
function cell(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
