// @ts-check

/**
 * What is said on both sides, as lines to show.
 *
 * A line is first made of what comes in while it is being said, and then of the stored item, which
 * is the truth. The agent's words appear when its sound reaches them.
 *
 * @typedef {object} Line
 * @property {string} key the same for as long as it is the same utterance
 * @property {"caller" | "agent" | "tool"} who
 * @property {string} said what was said and heard so far
 * @property {string} unheard what the agent wanted to say beyond, once that is certain
 * @property {"partial" | "sending" | "speaking" | "running" | "done" | "interrupted" | "cancelled"
 *   | "failed"} status
 * @property {string} source voice, text, model, fixed, tool, staff
 * @property {string} [tool] name of the tool
 *
 * @typedef {import("./protocol.js").Item} Item
 * @typedef {{ text: string, start_ms: number }} Piece
 */

/** A first guess at how long it takes to say a character; each answer teaches it better. */
const MS_PER_CHARACTER = 62;
const LEARNING = 0.3;

/**
 * How much of a text has been begun, by whole words.
 *
 * @param {string} text
 * @param {number} part 0 to 1
 * @returns {number} characters
 */
export function saidLength(text, part) {
  if (part <= 0) return 0;
  if (part >= 1) return text.length;
  const reached = part * text.length;
  let end = 0;
  for (const word of text.matchAll(/\s*\S+/g)) {
    const begin = word.index + word[0].search(/\S/);
    if (begin > reached) break;
    end = word.index + word[0].length;
  }
  return end;
}

class Response {
  /** @type {Piece[]} */ pieces = [];
  lengthMs = /** @type {number | undefined} */ (undefined);
  playedMs = 0;
  cut = false;

  get text() {
    return this.pieces.map((piece) => piece.text).join("");
  }
}

export class Captions {
  /** @type {Map<number, Item>} by id */ #items = new Map();
  /** @type {Map<number, Response>} by id */ #responses = new Map();
  /** @type {Map<number, string>} what the caller says, by turn */ #partials = new Map();
  /** @type {string[]} typed, and not stored yet */ #typed = [];
  #msPerCharacter = MS_PER_CHARACTER;

  /** @param {import("./protocol.js").Transcript} message */
  transcript({ turn, text, final }) {
    if (final && !text) {
      this.#partials.delete(turn);
    } else {
      this.#partials.set(turn, text);
    }
  }

  /** @param {string} text */
  typed(text) {
    this.#typed.push(text);
  }

  /** What was typed and is not stored, oldest first. */
  get unstored() {
    return [...this.#typed];
  }

  /** @param {import("./protocol.js").ResponseText} message */
  responseText({ response_id, text, start_ms }) {
    const response = this.#response(response_id);
    const last = response.pieces.at(-1);
    if (last && start_ms < last.start_ms) return;
    if (last && start_ms === last.start_ms) {
      last.text += text;
      return;
    }
    if (last) this.#learn(last, start_ms);
    response.pieces.push({ text, start_ms });
  }

  /** @param {number} responseId @param {number} lengthMs */
  audioEnd(responseId, lengthMs) {
    this.#response(responseId).lengthMs = lengthMs;
  }

  /** @param {number} responseId @param {number} playedMs */
  played(responseId, playedMs) {
    const response = this.#response(responseId);
    response.playedMs = Math.max(response.playedMs, playedMs);
  }

  /** It was silenced; no more of it will be heard. @param {number} responseId */
  cut(responseId) {
    this.#response(responseId).cut = true;
  }

  /** @param {Item} item */
  item(item) {
    this.#items.set(item.id, item);
    if (item.role !== "user") return;
    this.#partials.delete(item.turn);
    const sent = this.#typed.indexOf(item.text.trim());
    if (item.source === "text" && sent >= 0) this.#typed.splice(sent, 1);
  }

  /** The call is over: what was not heard never will be. */
  close() {
    for (const response of this.#responses.values()) response.cut = true;
    this.#partials.clear();
  }

  /** @returns {Line[]} in the order of the conversation, those without a word left out */
  lines() {
    const shown = [...this.#items.values()].filter(({ role }) => role !== "system");
    const stored = shown.sort((a, b) => a.id - b.id);
    const lines = [...stored.map((item) => this.#storedLine(item)), ...this.#livingLines(stored)];
    const keys = new Set();
    for (const each of lines) {
      while (keys.has(each.key)) each.key += "+";
      keys.add(each.key);
    }
    return lines.filter(({ said, unheard, who }) => said || unheard || who === "tool");
  }

  /** @param {Item[]} stored @returns {Line[]} of what has no item yet */
  #livingLines(stored) {
    const known = new Set(stored.map(({ role, response_id }) => role === "agent" && response_id));
    const spoken = [...this.#responses]
      .filter(([id]) => !known.has(id))
      .map(([id, response]) => this.#spokenLine(`r${id}`, response, response.text, "model"));
    const partial = [...this.#partials].map(([turn, said]) =>
      line({ key: `u${turn}`, who: "caller", said, status: "partial", source: "voice" }),
    );
    const typed = this.#typed.map((said, i) =>
      line({ key: `t${i}`, who: "caller", said, status: "sending", source: "text" }),
    );
    return [...spoken, ...partial, ...typed];
  }

  /** @param {Item} item @returns {Line} */
  #storedLine(item) {
    const { id, role, source, status } = item;
    if (role === "tool") return toolLine(item);
    if (role === "user") {
      const key = source === "voice" ? `u${item.turn}` : `i${id}`;
      return line({ key, who: "caller", said: item.text, status: settled(status), source });
    }
    const key = item.response_id === null ? `i${id}` : `r${item.response_id}`;
    const response = this.#responses.get(item.response_id ?? -1);
    if (status === "in_progress" && response) {
      return this.#spokenLine(key, response, response.text || item.unheard, source);
    }
    const { text, unheard } = item;
    return line({ key, who: "agent", said: text, unheard, status: settled(status), source });
  }

  /**
   * @param {string} key
   * @param {Response} response
   * @param {string} text
   * @param {string} source
   * @returns {Line}
   */
  #spokenLine(key, response, text, source) {
    const length = Math.min(this.#reached(response), text.length);
    const said = text.slice(0, length);
    const unheard = response.cut ? text.slice(length) : "";
    const whole = !response.cut && length === text.length && response.lengthMs !== undefined;
    const status = unheard ? "interrupted" : whole || response.cut ? "done" : "speaking";
    return line({ key, who: "agent", said, unheard, status, source });
  }

  /** @param {Response} response @returns {number} characters that its sound has come to */
  #reached(response) {
    let length = 0;
    for (const [i, piece] of response.pieces.entries()) {
      const next = response.pieces[i + 1]?.start_ms ?? response.lengthMs;
      const guess = piece.start_ms + piece.text.length * this.#msPerCharacter;
      const end = Math.max(next ?? guess, piece.start_ms + 1);
      const part = (response.playedMs - piece.start_ms) / (end - piece.start_ms);
      length += saidLength(piece.text, response.playedMs > 0 ? part : 0);
      if (part < 1) break;
    }
    return length;
  }

  /** @param {Piece} piece @param {number} endMs */
  #learn(piece, endMs) {
    const measured = (endMs - piece.start_ms) / piece.text.length;
    if (piece.text.length < 8 || measured < 20 || measured > 200) return;
    this.#msPerCharacter += LEARNING * (measured - this.#msPerCharacter);
  }

  /** @param {number} id @returns {Response} */
  #response(id) {
    let response = this.#responses.get(id);
    if (!response) this.#responses.set(id, (response = new Response()));
    return response;
  }
}

/** @param {Omit<Line, "unheard"> & { unheard?: string }} fields @returns {Line} */
function line({ unheard = "", ...fields }) {
  return { ...fields, unheard };
}

/** @param {Item["status"]} status @returns {Line["status"]} */
function settled(status) {
  if (status === "complete") return "done";
  return status === "in_progress" ? "speaking" : status;
}

/** @param {Item} item @returns {Line} */
function toolLine(item) {
  const status = item.status === "in_progress" ? "running" : settled(item.status);
  const tool = item.tool?.name ?? "";
  return line({ key: `i${item.id}`, who: "tool", said: "", status, source: item.source, tool });
}
