import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { clock, duration, transcriptText } from "../../static/calls/js/format.js";
import { problemOf } from "../../static/calls/js/microphone-problem.js";
import { strength } from "../../static/calls/js/picture.js";
import {
  MICROPHONE_PROBLEMS,
  activityOf,
  endingOf,
  qualityOf,
  situation,
  toolTitle,
  troubleOf,
} from "../../static/calls/js/words.js";

const PROTOCOL = readFileSync(new URL("../../docs/protocols/browser.md", import.meta.url), "utf8");

/** The words in code type of one section of the protocol's page. */
function codes(heading) {
  const section = PROTOCOL.split(`### ${heading}\n`)[1].split("\n#")[0];
  return [...section.matchAll(/`(\w+)`/g)].map(([, code]) => code);
}

const about = { name: "Ada", length: "1 minute" };

test("every reason of an end has its own words", () => {
  const general = endingOf({ reason: "error", message: "" }, about);
  for (const reason of codes("Reasons of an end")) {
    const text = endingOf({ reason, message: "" }, about);
    assert.ok(!/[{_]/.test(text), text);
    if (reason !== "error") assert.notEqual(text, general, reason);
  }
});

test("every error that may end or trouble a call has words", () => {
  const ends = ["unauthorized", "no_such_agent", "taken_over", "ended", "too_fast", "busy", "draining",
    "forbidden", "consent_required", "limit_reached"];
  const goOn = ["stt_failed", "llm_failed", "tts_failed", "tool_failed", "speech_busy", "records_delayed"];
  // A page that speaks the protocol never hears these for good, or they say nothing to a person.
  const rest = ["bad_message", "start_timeout", "too_large", "internal"];
  assert.deepEqual(codes("Codes of an error").sort(), [...ends, ...goOn, ...rest].sort());
  const general = endingOf({ reason: "error", message: "" }, about);
  for (const reason of ends) assert.notEqual(endingOf({ reason, message: "" }, about), general, reason);
  for (const code of goOn) assert.notEqual(troubleOf({ code, message: "x" }), "x", code);
});

test("what the server says is passed on where the page has no better words", () => {
  assert.equal(endingOf({ reason: "new_reason", message: "Because." }, about), "Because.");
  assert.equal(troubleOf({ code: "new_code", message: "Because." }), "Because.");
});

const HERE = { secure: true, supported: true, allowed: true, permission: "denied" };

for (const [expected, name, message, around] of [
  ["insecure", "TypeError", "", { secure: false, supported: false }],
  ["unsupported", "TypeError", "", { supported: false }],
  ["policy", "NotAllowedError", "", { allowed: false }],
  ["denied", "NotAllowedError", "Permission denied", {}],
  ["dismissed", "NotAllowedError", "Permission dismissed", {}],
  ["dismissed", "NotAllowedError", "", { permission: "prompt" }],
  ["denied", "NotAllowedError", "", { permission: "" }],
  ["system", "NotAllowedError", "Permission denied by system", {}],
  ["missing", "NotFoundError", "", {}],
  ["missing", "OverconstrainedError", "", {}],
  ["busy", "NotReadableError", "", {}],
  ["busy", "AbortError", "", {}],
  ["failed", "UnknownError", "", {}],
]) {
  test(`no microphone: ${name} ${message} ${JSON.stringify(around)}: ${expected}`, () => {
    assert.equal(problemOf({ name, message }, { ...HERE, ...around }), expected);
    const { title, text, todo } = MICROPHONE_PROBLEMS[expected];
    assert.ok(title && text && todo);
    assert.ok(!`${title}${text}${todo}`.includes("Error"));
  });
}

for (const [name, doing, title] of [
  ["book_appointment", "Booking appointment…", "Book appointment"],
  ["get_weather", "Getting weather…", "Get weather"],
  ["lookUpOrder", "Looking up order…", "Look up order"],
  ["make-call", "Making call…", "Make call"],
  ["see", "Seeing…", "See"],
  ["cancel_order", "Canceling order…", "Cancel order"],
  ["plan", "Planning…", "Plan"],
  ["", "Working…", "Tool"],
]) {
  test(`a tool called "${name}"`, () => {
    assert.equal(activityOf(name), doing);
    assert.equal(toolTitle(name), title);
  });
}

const NOW = {
  stage: "live", phase: "listening", muted: false, loud: false, pushToTalk: false, pressed: false,
  hasMicrophone: true, silent: false,
};

for (const [change, expected] of [
  [{}, "Listening"],
  [{ phase: "hearing" }, "You are speaking"],
  [{ phase: "speaking" }, "Ada is speaking"],
  [{ muted: true }, "You are muted"],
  [{ muted: true, phase: "speaking" }, "Ada is speaking"],
  [{ muted: true, loud: true, phase: "speaking" }, "You are muted: nobody hears you"],
  [{ pushToTalk: true }, "Hold to talk"],
  [{ pushToTalk: true, pressed: true, phase: "hearing" }, "Talking. Let go when you are done"],
  [{ hasMicrophone: false }, "Type what you want to say"],
  [{ hasMicrophone: false, silent: true }, "Type what you want to say. The answers are in writing here"],
  [{ silent: true }, "Listening. The answers are in writing here"],
  [{ stage: "reconnecting", phase: "speaking" }, "Connection lost. Coming back…"],
]) {
  test(`situation ${JSON.stringify(change)}: ${expected}`, () => {
    assert.equal(situation({ ...NOW, ...change }, "Ada"), expected);
  });
}

test("connections are good, fair and poor", () => {
  const bars = [[null, 0], [20, 0], [200, 0], [20, 1], [500, 0], [20, 3]].map(
    ([rtt, troubles]) => qualityOf(rtt, troubles).bars,
  );
  assert.deepEqual(bars, [0, 3, 2, 2, 1, 1]);
});

test("times", () => {
  assert.deepEqual([0, 999, 61_000, 3_600_000].map(clock), ["0:00", "0:00", "1:01", "60:00"]);
  assert.deepEqual([200, 1000, 61_000, 120_000].map(duration), [
    "less than a second", "1 second", "1 minute 1 second", "2 minutes",
  ]);
});

test("a transcript for a file", () => {
  const line = { key: "", unheard: "", status: "done", source: "voice" };
  const text = transcriptText(
    [
      { ...line, who: "agent", said: "It is four", unheard: " o'clock." },
      { ...line, who: "caller", said: "Thanks" },
      { ...line, who: "tool", said: "", tool: "end_call" },
    ],
    { name: "Ada", when: "today", ending: "You hung up." },
  );
  assert.equal(
    text,
    "Call with Ada, today\n\nAda: It is four [not heard: o'clock.]\nYou: Thanks\nTool: End call (done)\n\nYou hung up.\n",
  );
});

test("loudness, as an eye expects it", () => {
  assert.equal(strength(0), 0);
  assert.equal(strength(0.001), 0);
  assert.equal(strength(1), 1);
  assert.ok(strength(0.03) > 0.4 && strength(0.03) < 0.7);
});
