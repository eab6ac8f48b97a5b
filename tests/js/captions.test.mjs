import assert from "node:assert/strict";
import test from "node:test";

import { Captions, saidLength } from "../../static/calls/js/captions.js";
import { item } from "./doubles.mjs";

const stored = (fields) => item(fields).item;
const shown = (captions) =>
  captions.lines().map(({ who, said, unheard, status }) => [who, said, unheard, status]);

const TEXT = "It is four o'clock.";

for (const [part, expected] of [
  [0, ""],
  [0.01, "It"],
  [0.2, "It is"],
  [0.5, "It is four"],
  [0.6, "It is four o'clock."],
  [1, TEXT],
  [7, TEXT],
]) {
  test(`${part} of a sentence: ${expected}`, () => {
    assert.equal(TEXT.slice(0, saidLength(TEXT, part)), expected);
  });
}

test("the agent's words appear as they are said", () => {
  const captions = new Captions();
  captions.responseText({ type: "response_text", response_id: 1, text: "Hello there. ", start_ms: 0 });
  captions.responseText({ type: "response_text", response_id: 1, text: "How are you?", start_ms: 1000 });
  captions.audioEnd(1, 2000);
  const seen = [0, 100, 600, 1100, 1400, 2000].map((ms) => {
    captions.played(1, ms);
    return captions.lines()[0]?.said.trim();
  });
  assert.deepEqual(seen, [
    undefined, "Hello", "Hello there.", "Hello there. How", "Hello there. How are", "Hello there. How are you?",
  ]);
  assert.equal(captions.lines()[0].status, "done");
});

test("before the length is known, the speed is guessed, and learnt", () => {
  const captions = new Captions();
  const text = "one two three four five";
  captions.responseText({ type: "response_text", response_id: 1, text, start_ms: 0 });
  captions.played(1, 600);
  const guessed = captions.lines()[0].said;
  assert.ok(guessed.length > 3 && guessed.length < text.length, guessed);
});

test("pieces that begin together are one", () => {
  const captions = new Captions();
  captions.responseText({ type: "response_text", response_id: 1, text: "Hello ", start_ms: 0 });
  captions.responseText({ type: "response_text", response_id: 1, text: "there.", start_ms: 0 });
  captions.audioEnd(1, 1000);
  captions.played(1, 1000);
  assert.equal(captions.lines()[0].said, "Hello there.");
});

test("an instruction to the model is not shown", () => {
  const captions = new Captions();
  captions.item(stored({ id: 1, role: "system", source: "client", text: "Be brief." }));
  captions.item(stored({ id: 2, role: "user", source: "keypad", text: "1234" }));
  assert.deepEqual(shown(captions).map(([who, said]) => [who, said]), [["caller", "1234"]]);
});

test("what was cut off is marked at once, and then as it is stored", () => {
  const captions = new Captions();
  captions.responseText({ type: "response_text", response_id: 3, text: TEXT, start_ms: 0 });
  captions.audioEnd(3, 2000);
  captions.played(3, 1000);
  captions.cut(3);
  assert.deepEqual(shown(captions), [["agent", "It is four", " o'clock.", "interrupted"]]);

  captions.item(stored({ id: 4, status: "interrupted", text: "It is", unheard: " four o'clock.", response_id: 3 }));
  assert.deepEqual(shown(captions), [["agent", "It is", " four o'clock.", "interrupted"]]);
});

test("the caller's words: as they are understood, then as they are stored, one line", () => {
  const captions = new Captions();
  captions.transcript({ type: "transcript", turn: 2, text: "what", final: false });
  captions.transcript({ type: "transcript", turn: 2, text: "what time", final: false });
  const [{ key }] = captions.lines();
  assert.deepEqual(shown(captions), [["caller", "what time", "", "partial"]]);
  captions.transcript({ type: "transcript", turn: 2, text: "What time is it?", final: true });
  captions.item(stored({ id: 1, role: "user", source: "voice", turn: 2, text: "What time is it?" }));
  assert.deepEqual(shown(captions), [["caller", "What time is it?", "", "done"]]);
  assert.equal(captions.lines()[0].key, key);
});

test("when nothing was understood, nothing stays", () => {
  const captions = new Captions();
  captions.transcript({ type: "transcript", turn: 2, text: "mm", final: false });
  captions.transcript({ type: "transcript", turn: 2, text: "", final: true });
  assert.deepEqual(captions.lines(), []);
});

test("typed words are shown before they are stored, and not twice", () => {
  const captions = new Captions();
  captions.typed("hello");
  captions.typed("hello");
  captions.item(stored({ id: 1, role: "user", source: "text", text: "hello" }));
  assert.deepEqual(shown(captions), [
    ["caller", "hello", "", "done"],
    ["caller", "hello", "", "sending"],
  ]);
  assert.deepEqual(captions.unstored, ["hello"]);
});

test("lines stand in the order of the conversation", () => {
  const captions = new Captions();
  captions.transcript({ type: "transcript", turn: 2, text: "book it", final: false });
  captions.item(stored({ id: 2, role: "user", source: "voice", text: "book", turn: 1 }));
  captions.item(stored({ id: 3, role: "tool", source: "tool", status: "in_progress", response_id: 5, tool: { call_id: "t", name: "book", arguments: "{}" } }));
  captions.responseText({ type: "response_text", response_id: 5, text: "Done.", start_ms: 0 });
  captions.played(5, 100);
  captions.item(stored({ id: 1, text: "Hi" }));
  assert.deepEqual(
    captions.lines().map(({ who, said, status }) => `${who} ${said || status}`),
    ["agent Hi", "caller book", "tool running", "agent Done.", "caller book it"],
  );
});

test("no two lines have the same key", () => {
  const captions = new Captions();
  for (const id of [1, 2, 3]) captions.item(stored({ id, text: "Again", response_id: 7 }));
  assert.equal(new Set(captions.lines().map(({ key }) => key)).size, 3);
});

test("the end: what was on its way is unheard", () => {
  const captions = new Captions();
  captions.responseText({ type: "response_text", response_id: 1, text: "Goodbye then.", start_ms: 0 });
  captions.audioEnd(1, 1000);
  captions.played(1, 300);
  captions.close();
  assert.deepEqual(shown(captions), [["agent", "Goodbye", " then.", "interrupted"]]);
});
