// @ts-check
// Everything the page says to a person.

/** @typedef {{ title: string, text: string, todo: string }} Explanation */

/** @type {Record<import("./microphone-problem.js").MicrophoneProblem, Explanation>} */
export const MICROPHONE_PROBLEMS = {
  insecure: {
    title: "This address cannot use a microphone",
    text: "Browsers hand out the microphone only to pages that came over a secure connection, and this one did not.",
    todo: "Open the page with https:// in front, or, on the computer that runs it, as http://localhost.",
  },
  unsupported: {
    title: "This browser cannot make calls",
    text: "It has no way to let a page hear you.",
    todo: "A current Chrome, Edge, Firefox or Safari can.",
  },
  policy: {
    title: "This page may not ask for your microphone",
    text: "The website forbids it, so your browser does not even ask you. Nothing on your side is wrong.",
    todo: "You can type instead. The people who run this website find in the browser’s console what to allow.",
  },
  dismissed: {
    title: "The microphone was not allowed",
    text: "Your browser asked whether this page may use the microphone, and the question was closed.",
    todo: "Try again and choose “Allow”. You can take it back at any time.",
  },
  denied: {
    title: "The microphone is blocked",
    text: "Your browser remembers that this page may not use it, and does not ask again.",
    todo: "Open the settings beside the address of the page, allow the microphone there, and try again.",
  },
  system: {
    title: "Your system keeps the microphone from the browser",
    text: "The page may use it, but the settings of your computer or phone say that this browser may not.",
    todo: "Allow the browser to use the microphone in the system’s privacy settings, and try again.",
  },
  missing: {
    title: "No microphone was found",
    text: "Nothing that hears is connected to this device, or it is switched off.",
    todo: "Connect a microphone or a headset and try again.",
  },
  busy: {
    title: "The microphone is in use",
    text: "Another program holds it, or it does not answer.",
    todo: "Close other calls and recording programs, plug the microphone in again, and retry.",
  },
  failed: {
    title: "The microphone could not be started",
    text: "Your browser does not say why.",
    todo: "Reload the page or try another browser.",
  },
};

/** @type {Record<string, string>} by the reason of the end */
const ENDINGS = {
  caller_hung_up: "You hung up after {length}.",
  agent_ended: "{name} said goodbye after {length}.",
  silence: "Nobody had said anything for a while.",
  max_length: "The call reached its longest length, {length}.",
  provider_failed: "The speech service stopped working.",
  abandoned: "The connection was gone for too long.",
  staff_ended: "The call was ended by the people who run it.",
  budget: "The time or the money for calls is used up.",
  site_stopped: "Calls are switched off here at the moment.",
  restarted: "The server was restarted. Please call again.",
  interrupted: "The server stopped unexpectedly.",
  connection_lost: "The connection was lost and did not come back.",
  unreachable: "The server does not answer. Check your connection and try again.",
  taken_over: "The call goes on in another window.",
  ended: "The call was over when the connection came back.",
  busy: "All lines are busy. Please try again in a moment.",
  forbidden: "Calls cannot be made from this page.",
  consent_required: "Please agree first, then call.",
  limit_reached: "There were too many calls. Please try again later.",
  draining: "The server is about to restart. Please try again in a moment.",
  token_failed: "The website could not get a permission for the call. Please try again in a moment.",
  unauthorized: "This page has no permission for the call, or it has been open for too long. Reload it and try again.",
  no_such_agent: "There is nobody at this address.",
  too_fast: "Too much was sent at once.",
  error: "Something went wrong on the server.",
};

/**
 * @param {{ reason: string, message: string }} end
 * @param {{ name: string, length: string }} about the agent, and how long the call was
 */
export function endingOf({ reason, message }, { name, length }) {
  const text = ENDINGS[reason] ?? (message || ENDINGS.error) ?? "";
  return text.replace("{name}", name).replace("{length}", length);
}

/** Whether a call that ended so was a call at all, and ended as calls should. */
export const GOOD_ENDINGS = new Set([
  "caller_hung_up",
  "agent_ended",
  "silence",
  "max_length",
  "staff_ended",
]);

/** @type {Record<string, string>} by the code of an error that does not end the call */
const TROUBLES = {
  stt_failed: "That could not be understood. Please say it again.",
  llm_failed: "The answer failed. Please say it again.",
  tts_failed: "The voice failed; the answer is in writing.",
  tool_failed: "Something that was needed for the answer did not work.",
  speech_busy: "The speech engines are busy. Please say it again in a moment.",
  records_delayed: "The record of this call is being written late.",
};

/** @param {{ code: string, message: string }} error */
export function troubleOf({ code, message }) {
  return TROUBLES[code] ?? (message || "Something went wrong. The call goes on.");
}

/** @type {Record<string, string>} */
export const STAGE_NAMES = {
  endpointing: "making sure you were done",
  stt: "understanding",
  llm: "thinking",
  tts: "making the voice",
  playout: "sending",
  delivery: "on the way to your ear",
};

/** On the button that begins a call, where the caller has to agree first. */
export const AGREE = {
  call: "Agree and call",
  type: "Agree, but type instead",
  typeOnly: "No microphone? Type instead",
};

const TEXTS = {
  idle: "Ready when you are",
  asking: "Your browser asks for the microphone…",
  connecting: "Calling…",
  reconnecting: "Connection lost. Coming back…",
  listening: "Listening",
  hearing: "You are speaking",
  thinking: "Thinking…",
  speaking: "{name} is speaking",
  ending: "Saying goodbye…",
  muted: "You are muted",
  mutedSpeaking: "You are muted: nobody hears you",
  hold: "Hold to talk",
  held: "Talking. Let go when you are done",
  typing: "Type what you want to say",
  silent: "Listening. The answers are in writing here",
  typingSilently: "Type what you want to say. The answers are in writing here",
  ended: "Call ended",
};

/**
 * What the line under the picture says.
 *
 * @param {object} now
 * @param {import("./session.js").Stage} now.stage
 * @param {import("./protocol.js").Phase} now.phase
 * @param {boolean} now.muted
 * @param {boolean} now.loud the caller speaks all the same
 * @param {boolean} now.pushToTalk
 * @param {boolean} now.pressed
 * @param {boolean} now.hasMicrophone
 * @param {boolean} now.silent
 * @param {string} name of the agent
 */
export function situation(now, name) {
  if (now.stage !== "live") return TEXTS[now.stage];
  const text = callerSituation(now) ?? TEXTS[now.phase];
  return text.replace("{name}", name);
}

/** @param {Parameters<typeof situation>[0]} now @returns {string | undefined} */
function callerSituation({ phase, muted, loud, pushToTalk, pressed, hasMicrophone, silent }) {
  if (pressed) return TEXTS.held;
  if (muted && loud) return TEXTS.mutedSpeaking;
  if (phase !== "listening") return undefined;
  if (silent) return hasMicrophone ? TEXTS.silent : TEXTS.typingSilently;
  if (!hasMicrophone) return TEXTS.typing;
  if (muted) return TEXTS.muted;
  return pushToTalk ? TEXTS.hold : undefined;
}

const DOUBLING = /[^aeiou][aeiou][bdgmnprt]$/;

/**
 * The name of a tool as something going on: book_appointment, "Booking appointment…".
 *
 * @param {string} name
 */
export function activityOf(name) {
  const words = plainWords(name);
  const [verb = "", ...rest] = words;
  if (!verb) return "Working…";
  return `${[capital(gerund(verb)), ...rest].join(" ")}…`;
}

/** The name of a tool as a thing: book_appointment, "Book appointment". @param {string} name */
export function toolTitle(name) {
  return capital(plainWords(name).join(" ")) || "Tool";
}

/** @param {string} name */
function plainWords(name) {
  return name
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean);
}

/** @param {string} verb */
function gerund(verb) {
  if (/ing$/.test(verb) && verb.length > 5) return verb;
  if (/[^eoy]e$/.test(verb)) return `${verb.slice(0, -1)}ing`;
  if (verb.length < 5 && DOUBLING.test(verb)) return `${verb}${verb.at(-1)}ing`;
  return `${verb}ing`;
}

/** @param {string} word */
function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** @param {number | null} rttMs @param {number} troubles in the last seconds */
export function qualityOf(rttMs, troubles) {
  if (rttMs === null) return { bars: 0, text: "Measuring the connection" };
  if (rttMs > 400 || troubles > 2) return { bars: 1, text: "Poor connection" };
  if (rttMs > 180 || troubles > 0) return { bars: 2, text: "Fair connection" };
  return { bars: 3, text: "Good connection" };
}
