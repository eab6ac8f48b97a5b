// @ts-check
import { speakerOf } from "./format.js";
import { activityOf, toolTitle } from "./words.js";

/** So near the end, the reader wants to stay there; pixels. */
const NEAR = 48;

/** @typedef {import("./captions.js").Line} Line */

const SETTLED = new Set(["done", "interrupted", "cancelled", "failed"]);

/** @type {Partial<Record<Line["status"], string>>} */
const MARKS = { cancelled: "taken back", failed: "failed", sending: "sending" };

/**
 * The lines of a conversation. A line that is still being said stands in `living`; once it and all
 * before it are settled it moves to `log`, where screen readers announce it, once.
 */
export class TranscriptView {
  #parts;
  /** @type {Map<string, LineView>} */ #views = new Map();
  #follows = true;

  /** @param {import("./markup.js").Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    parts.scroll.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // A frame around it that grows or shrinks is no scrolling.
    new ResizeObserver(() => this.#follows && this.#toEnd()).observe(parts.scroll);
    parts.latestButton.addEventListener("click", () => this.#follow());
  }

  /** @param {Line[]} lines @param {string} name of the agent */
  render(lines, name) {
    const { empty, living, log } = this.#parts;
    empty.hidden = lines.length > 0;
    this.#forget(new Set(lines.map(({ key }) => key)));
    const firstLiving = lines.findIndex(({ status }) => !SETTLED.has(status));
    const settled = firstLiving < 0 ? lines.length : firstLiving;
    this.#place(log, lines.slice(0, settled), name);
    this.#place(living, lines.slice(settled), name);
    if (this.#follows) this.#toEnd();
  }

  /** @param {Set<string>} keys that stay */
  #forget(keys) {
    for (const [key, view] of this.#views) {
      if (keys.has(key)) continue;
      view.element.remove();
      this.#views.delete(key);
    }
  }

  /** @param {HTMLElement} parent @param {Line[]} lines @param {string} name */
  #place(parent, lines, name) {
    for (const [i, line] of lines.entries()) {
      let view = this.#views.get(line.key);
      if (!view) this.#views.set(line.key, (view = new LineView(line.who)));
      view.render(line, name);
      if (parent.children[i] !== view.element) {
        parent.insertBefore(view.element, parent.children[i] ?? null);
      }
    }
  }

  #scrolled() {
    const { scroll, latestButton } = this.#parts;
    this.#follows = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR;
    latestButton.hidden = this.#follows;
  }

  #follow() {
    this.#follows = true;
    this.#toEnd();
    this.#parts.scroll.focus();
  }

  #toEnd() {
    const { scroll } = this.#parts;
    const end = scroll.scrollHeight - scroll.clientHeight;
    if (scroll.scrollTop < end) scroll.scrollTop = end;
  }
}

class LineView {
  element = document.createElement("p");
  #who = part("span", "vc-who");
  #said = part("span", "vc-said");
  #unheard = document.createElement("del");
  #rest = part("span", "vc-rest");
  #mark = part("span", "vc-mark");
  #shown = "";

  /** @param {Line["who"]} who */
  constructor(who) {
    this.element.className = "vc-line";
    this.element.dataset.who = who;
    this.#unheard.append(part("span", "vc-unseen", " Not heard: "), this.#rest);
    const words = part("span", "vc-words");
    words.append(this.#said, " ", this.#unheard, this.#mark);
    this.element.append(this.#who, part("span", "vc-unseen", ": "), words);
  }

  /** @param {Line} line @param {string} name of the agent */
  render(line, name) {
    const shown = JSON.stringify([line, name]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.element.dataset.status = line.status;
    set(this.#who, line.who === "tool" ? "" : speakerOf(line, name));
    set(this.#said, line.who === "tool" ? toolWords(line) : line.said.trim());
    set(this.#rest, line.unheard.trim());
    this.#unheard.hidden = !line.unheard;
    set(this.#mark, MARKS[line.status] ?? (line.source === "staff" ? "by staff" : ""));
  }
}

/** @param {Line} line */
function toolWords({ tool = "", status }) {
  return status === "running" ? activityOf(tool) : toolTitle(tool);
}

/** @param {"span"} tag @param {string} className @param {string} [text] */
function part(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/** @param {HTMLElement} element @param {string} text */
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
