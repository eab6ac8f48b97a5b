// @ts-check
// Browser protocol v1, docs/protocols/browser.md: messages to and from what goes over the socket.
// Pure: no socket, no sound, no clock. Its rows are tests/vectors/browser-v1.json.

export const VERSION = 1;

/** The agent's sound, in hertz. */
export const AGENT_RATE_HZ = 24000;

export const TEXT_LENGTH_MAX = 2000;

const AUDIO_HEADER_BYTES = 8;
const MICROPHONE_HEADER_BYTES = 4;
const UINT32_MAX = 2 ** 32 - 1;

/**
 * @typedef {"auto" | "push_to_talk"} Turns
 * @typedef {"listening" | "hearing" | "thinking" | "speaking" | "ending"} Phase
 * @typedef {{ response_id: number, played_ms: number }} Playhead
 * @typedef {{ call_id: string, secret: string, played: Playhead | null }} Resume
 *
 * @typedef {object} Start
 * @property {"start"} type
 * @property {string} agent
 * @property {string} token
 * @property {boolean} [consent] the caller agreed to the consent text
 * @property {string} language
 * @property {{ rate_hz: number } | null} microphone
 * @property {Turns} turns
 * @property {"playback"[]} capabilities
 * @property {Record<string, unknown>} metadata
 * @property {Resume | null} resume
 *
 * @typedef {Start
 *   | { type: "text", text: string }
 *   | { type: "mute", muted: boolean }
 *   | { type: "turns", mode: Turns }
 *   | { type: "talk", pressed: boolean }
 *   | { type: "played", response_id: number, played_ms: number, buffered_ms: number }
 *   | { type: "cut", response_id: number, played_ms: number }
 *   | { type: "ping", t: number }
 *   | { type: "hang_up" }} ClientMessage
 *
 * @typedef {object} Ready
 * @property {"ready"} type
 * @property {1} v
 * @property {string} call_id
 * @property {string} resume_secret
 * @property {boolean} resumed
 * @property {{ slug: string, name: string }} agent
 * @property {string} language
 * @property {string} notice
 * @property {boolean} recording
 * @property {Record<string, string>} providers
 * @property {{ rate_hz: number }} audio
 * @property {number} microphone_position
 * @property {Turns} turns
 * @property {{ max_call_ms: number, resume_ms: number }} limits
 *
 * @typedef {object} Item an entry of the conversation that is safely stored
 * @property {number} id
 * @property {"user" | "agent" | "tool" | "system"} role
 * @property {"in_progress" | "complete" | "interrupted" | "cancelled" | "failed"} status
 * @property {string} source
 * @property {number} turn
 * @property {string} text of the agent: what was heard
 * @property {string} unheard
 * @property {number} started_ms
 * @property {number | null} ended_ms
 * @property {number | null} response_id
 * @property {Record<string, unknown>} metadata
 * @property {{ call_id: string, name: string, arguments: string }} [tool]
 *
 * @typedef {{ type: "audio", response_id: number, start_ms: number, pcm: Int16Array }} Audio
 * @typedef {{ type: "transcript", turn: number, text: string, final: boolean }} Transcript
 * @typedef {{ type: "response_text", response_id: number, text: string, start_ms: number }} ResponseText
 * @typedef {{ type: "tool", tool_call_id: string, name: string, running: boolean, failed: boolean }} Tool
 * @typedef {{ type: "turn", turn: number, latency_ms: number | null, stages: Record<string, number> }} Turn
 * @typedef {{ type: "error", code: string, message: string, fatal: boolean }} CallError
 *
 * @typedef {Ready | Audio | Transcript | ResponseText | Tool | Turn | CallError
 *   | { type: "audio_end", response_id: number, length_ms: number }
 *   | { type: "clear", response_id: number }
 *   | { type: "phase", phase: Phase }
 *   | { type: "item", item: Item }
 *   | { type: "pong", t: number }
 *   | { type: "end", reason: string }} ServerMessage
 */

/** A message of the server that is not in the protocol. The page ignores such a message. */
export class ProtocolError extends Error {}

/**
 * Write a message to the server.
 *
 * @param {ClientMessage} message
 * @returns {string}
 */
export function encode(message) {
  return JSON.stringify(message.type === "start" ? { v: VERSION, ...message } : message);
}

/**
 * Write microphone sound to the server.
 *
 * @param {number} position of the first sample, counted over the whole call
 * @param {Int16Array} samples mono
 * @returns {ArrayBuffer}
 */
export function encodeAudio(position, samples) {
  const message = new ArrayBuffer(MICROPHONE_HEADER_BYTES + samples.byteLength);
  const view = new DataView(message);
  view.setUint32(0, position, true);
  for (let i = 0; i < samples.length; i++) {
    view.setInt16(MICROPHONE_HEADER_BYTES + 2 * i, /** @type {number} */ (samples[i]), true);
  }
  return message;
}

/**
 * Read a message of the server.
 *
 * @param {string | ArrayBuffer} data
 * @returns {ServerMessage}
 * @throws {ProtocolError} it is not in the protocol
 */
export function decode(data) {
  return typeof data === "string" ? decodeText(data) : decodeAudio(data);
}

/** @param {ArrayBuffer} data @returns {Audio} */
function decodeAudio(data) {
  const pcmBytes = data.byteLength - AUDIO_HEADER_BYTES;
  if (pcmBytes < 0 || pcmBytes % 2) throw new ProtocolError("sound of a broken length");
  const view = new DataView(data);
  const pcm = new Int16Array(pcmBytes / 2);
  for (let i = 0; i < pcm.length; i++) pcm[i] = view.getInt16(AUDIO_HEADER_BYTES + 2 * i, true);
  return {
    type: "audio",
    response_id: view.getUint32(0, true),
    start_ms: view.getUint32(4, true),
    pcm,
  };
}

/** @param {string} data @returns {ServerMessage} */
function decodeText(data) {
  let raw;
  try {
    raw = JSON.parse(data);
  } catch {
    throw new ProtocolError("no JSON");
  }
  const fields = FIELDS.get(raw?.type);
  if (!fields) throw new ProtocolError("unknown type");
  return /** @type {ServerMessage} */ ({ type: raw.type, ...object(fields)(raw, "message") });
}

/**
 * A check takes a field's value and gives it back, or throws.
 *
 * @typedef {(value: any, name: string) => unknown} Check
 */

/** @param {string} name @returns {never} */
function refuse(name) {
  throw new ProtocolError(`bad value: ${name}`);
}

/** @type {Check} */
const text = (value, name) => (typeof value === "string" ? value : refuse(name));

/** @type {Check} */
const flag = (value, name) => (typeof value === "boolean" ? value : refuse(name));

/** @type {Check} */
const count = (value, name) => (Number.isSafeInteger(value) && value >= 0 ? value : refuse(name));

/** @type {Check} */
const id = (value, name) =>
  /** @type {number} */ (count(value, name)) <= UINT32_MAX ? value : refuse(name);

/** @type {Check} */
const anyObject = (value, name) =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : refuse(name);

/** @param {...unknown} values @returns {Check} */
const oneOf = (...values) => (value, name) => (values.includes(value) ? value : refuse(name));

/** @param {Check} check @returns {Check} */
const orNull = (check) => (value, name) => (value === null ? null : check(value, name));

/** @param {Check} check @returns {Check} */
const optional = (check) => (value, name) =>
  value === undefined ? undefined : check(value, name);

/** @param {Check} check @returns {Check} */
const mapOf = (check) => (value, name) => {
  for (const entry of Object.values(/** @type {object} */ (anyObject(value, name)))) {
    check(entry, name);
  }
  return value;
};

/** @param {Record<string, Check>} fields @returns {(value: any, name: string) => object} */
const object = (fields) => (value, name) => {
  anyObject(value, name);
  /** @type {Record<string, unknown>} */
  const read = {};
  for (const [field, check] of Object.entries(fields)) {
    const checked = check(value[field], field);
    if (checked !== undefined) read[field] = checked;
  }
  return read;
};

/** @type {Record<string, Record<string, Check>>} what a message of each type holds */
const MESSAGES = {
  ready: {
    v: oneOf(VERSION),
    call_id: text,
    resume_secret: text,
    resumed: flag,
    agent: object({ slug: text, name: text }),
    language: text,
    notice: text,
    recording: flag,
    providers: mapOf(text),
    audio: object({ rate_hz: oneOf(AGENT_RATE_HZ) }),
    microphone_position: id,
    turns: oneOf("auto", "push_to_talk"),
    limits: object({ max_call_ms: count, resume_ms: count }),
  },
  audio_end: { response_id: id, length_ms: count },
  clear: { response_id: id },
  phase: { phase: oneOf("listening", "hearing", "thinking", "speaking", "ending") },
  transcript: { turn: count, text, final: flag },
  response_text: { response_id: id, text, start_ms: count },
  item: {
    item: object({
      id: count,
      role: oneOf("user", "agent", "tool", "system"),
      status: oneOf("in_progress", "complete", "interrupted", "cancelled", "failed"),
      source: text,
      turn: count,
      text,
      unheard: text,
      started_ms: count,
      ended_ms: orNull(count),
      response_id: orNull(id),
      metadata: anyObject,
      tool: optional(object({ call_id: text, name: text, arguments: text })),
    }),
  },
  tool: { tool_call_id: text, name: text, running: flag, failed: flag },
  turn: { turn: count, latency_ms: orNull(count), stages: mapOf(count) },
  error: { code: text, message: text, fatal: flag },
  pong: { t: count },
  end: { reason: text },
};

/** @type {Map<unknown, Record<string, Check>>} */
const FIELDS = new Map(Object.entries(MESSAGES));

/**
 * What a close code asks of the page.
 *
 * @typedef {"over" | "resume" | "later"} Outcome over: this call is done with; resume: come back
 *   into it; later: no call began, another attempt may
 */

/** @type {Record<number, Outcome>} */
const OUTCOMES = {
  1000: "over",
  4400: "over",
  4401: "over",
  4403: "over",
  4404: "over",
  4409: "over",
  4410: "over",
  4440: "over",
  4441: "over",
  4502: "later",
  4503: "later",
};

/**
 * Everything that is not in the table is the network or a crash.
 *
 * @param {number} code of a close event
 * @returns {Outcome}
 */
export function closeOutcome(code) {
  return OUTCOMES[code] ?? "resume";
}
