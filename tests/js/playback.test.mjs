import assert from "node:assert/strict";
import test from "node:test";

import { audioThread } from "./audio-thread.mjs";

const RATE_HZ = 24000;
const samplesOf = (ms) => (ms * RATE_HZ) / 1000;

/** A sawtooth whose every sample names its place, so that a lost or doubled one shows. */
const sound = (fromMs, ms) =>
  Int16Array.from({ length: samplesOf(ms) }, (_, i) => 1000 + ((samplesOf(fromMs) + i) % 20000));

const send = (thread, id, startMs, ms) =>
  thread.tell({ type: "audio", id, startMs, pcm: sound(startMs, ms) });

const start = () => audioThread("playback.worklet.js", RATE_HZ);

/** Where sound begins, and the samples as they were sent. */
function heard(output) {
  const begin = output.findIndex((sample) => sample !== 0);
  if (begin < 0) return { begin: Infinity, samples: [] };
  let end = output.length;
  while (output[end - 1] === 0) end--;
  return { begin, samples: Array.from(output.subarray(begin, end), (x) => Math.round(x * 0x8000)) };
}

test("80 ms lie in the buffer before the first sound", () => {
  const thread = start();
  send(thread, 1, 0, 60);
  assert.equal(heard(thread.speak(20)).begin, Infinity);
  send(thread, 1, 60, 20);
  assert.ok(heard(thread.speak(20)).begin < 128);
});

test("a short answer does not wait for what never comes", () => {
  const thread = start();
  send(thread, 1, 0, 40);
  thread.tell({ type: "end", id: 1 });
  assert.ok(heard(thread.speak(10)).begin < 128);
});

test("sound that trickles in is played after 80 ms all the same", () => {
  const thread = start();
  send(thread, 1, 0, 40);
  const { begin } = heard(thread.speak(100));
  assert.ok(begin >= samplesOf(70) && begin <= samplesOf(85), `${begin}`);
});

test("chunks are joined without a gap or a doubled sample", () => {
  const thread = start();
  for (let ms = 0; ms < 400; ms += 20) send(thread, 1, ms, 20);
  thread.tell({ type: "end", id: 1 });
  const { samples } = heard(thread.speak(420));
  const whole = sound(0, 400);
  // The first 3 ms fade in, and after the last sample the sound dies away.
  assert.deepEqual(samples.slice(80, 9000), Array.from(whole.subarray(81, 9001)));
});

test("start times in whole milliseconds do not tear contiguous sound", () => {
  const thread = start();
  const whole = sound(0, 300);
  for (let from = 0; from < whole.length; from += 500) {
    const startMs = Math.floor((from * 1000) / RATE_HZ);
    thread.tell({ type: "audio", id: 1, startMs, pcm: whole.subarray(from, from + 500) });
  }
  thread.tell({ type: "end", id: 1 });
  const { samples } = heard(thread.speak(320));
  assert.deepEqual(samples.slice(80, 7000), Array.from(whole.subarray(81, 7001)));
  assert.equal(thread.posted("report").at(-1).playedMs, 300);
});

test("what came before is not played again", () => {
  const thread = start();
  send(thread, 1, 0, 100);
  send(thread, 1, 0, 100);
  send(thread, 1, 50, 100);
  thread.tell({ type: "end", id: 1 });
  const { samples } = heard(thread.speak(200));
  assert.deepEqual(samples.slice(80, 3500), Array.from(sound(0, 150).subarray(81, 3501)));
  assert.equal(thread.posted("report").at(-1).playedMs, 150);
});

test("playback is reported at the start, five times a second, and at the end", () => {
  const thread = start();
  send(thread, 7, 0, 1000);
  thread.tell({ type: "end", id: 7 });
  thread.speak(1100);
  const reports = thread.posted("report");
  assert.deepEqual(
    reports.map((report) => report.cause),
    ["start", "playing", "playing", "playing", "playing", "end"],
  );
  assert.deepEqual(reports[0], {
    type: "report", cause: "start", id: 7, playedMs: 0, bufferedMs: 1000,
  });
  assert.deepEqual(reports.at(-1), {
    type: "report", cause: "end", id: 7, playedMs: 1000, bufferedMs: 0,
  });
  for (const [i, report] of reports.slice(1, -1).entries()) {
    assert.ok(Math.abs(report.playedMs - 200 * (i + 1)) < 25, `${report.playedMs}`);
    assert.ok(Math.abs(report.playedMs + report.bufferedMs - 1000) <= 1);
  }
});

test("clear: silent in the next render quantum, faded, and counted to the sample", () => {
  const thread = start();
  send(thread, 3, 0, 1000);
  const before = thread.speak(200);
  const playedBefore = before.length;
  thread.posted();

  thread.tell({ type: "clear", id: 3 });
  const after = thread.speak(50);

  const { samples } = heard(after);
  assert.ok(samples.length > 50 && samples.length <= 73, `${samples.length}`);
  assert.ok(Math.abs(samples.at(-1)) < 500, "the last sample is nearly silent");
  const [cut] = thread.posted("cut");
  assert.equal(cut.id, 3);
  assert.equal(cut.playedMs, Math.floor(((playedBefore + 72) * 1000) / RATE_HZ));
});

test("clear: sound that comes too late is dropped", () => {
  const thread = start();
  send(thread, 3, 0, 200);
  thread.speak(50);
  thread.tell({ type: "clear", id: 3 });
  thread.speak(10);
  send(thread, 3, 200, 200);
  thread.tell({ type: "end", id: 3 });
  assert.equal(heard(thread.speak(200)).begin, Infinity);
});

test("clear: the next response plays", () => {
  const thread = start();
  send(thread, 3, 0, 200);
  thread.speak(50);
  thread.tell({ type: "clear", id: 3 });
  send(thread, 4, 0, 100);
  thread.speak(150);
  const reports = thread.posted("report").filter((report) => report.id === 4);
  assert.equal(reports[0].cause, "start");
});

test("clear: of a response that is over, or was never heard, is answered all the same", () => {
  const thread = start();
  send(thread, 3, 0, 100);
  thread.tell({ type: "end", id: 3 });
  thread.speak(150);
  thread.posted();
  thread.tell({ type: "clear", id: 3 });
  thread.tell({ type: "clear", id: 9 });
  const cuts = thread.posted("cut");
  assert.deepEqual(cuts.map(({ id, playedMs }) => [id, playedMs]), [[3, 100], [9, 0]]);
});

test("running dry is a pause, and the buffer grows for it", () => {
  const thread = start();
  send(thread, 1, 0, 100);
  thread.speak(150);
  assert.equal(thread.posted("report").at(-1).cause, "pause");

  send(thread, 1, 100, 80);
  assert.equal(heard(thread.speak(10)).begin, Infinity, "80 ms are not enough any more");
  send(thread, 1, 180, 40);
  assert.ok(heard(thread.speak(30)).begin < 128);

  const meter = thread.posted("meter").at(-1);
  assert.equal(meter.underruns, 1);
  assert.equal(meter.targetMs, 120);
});

test("the end that comes after the last sound was played is no underrun", () => {
  const thread = start();
  send(thread, 1, 0, 100);
  thread.speak(150);
  thread.tell({ type: "end", id: 1 });
  assert.deepEqual(thread.posted("report").map(({ cause }) => cause), ["start", "pause", "end"]);
  send(thread, 2, 0, 100);
  thread.speak(50);
  assert.equal(thread.posted("meter").at(-1).underruns, 0);
});

test("the buffer shrinks slowly while all goes well", () => {
  const thread = start();
  for (let ms = 0; ms < 21000; ms += 1000) {
    send(thread, 1, ms, 1000);
    thread.speak(990);
  }
  assert.equal(thread.posted("meter").at(-1).targetMs, 60);
});

test("forget: silence, and the response goes on where it stood", () => {
  const thread = start();
  send(thread, 1, 0, 400);
  thread.speak(100);
  thread.posted();
  thread.tell({ type: "forget" });
  assert.ok(heard(thread.speak(50)).samples.length <= 73);
  const [{ id, playedMs }] = thread.posted("forgotten");
  assert.equal(id, 1);

  send(thread, 1, playedMs, 400 - playedMs);
  thread.tell({ type: "end", id: 1 });
  thread.speak(500);
  const last = thread.posted("report").at(-1);
  assert.deepEqual([last.cause, last.playedMs], ["end", 400]);
});

test("clear while forgetting: both are answered", () => {
  const thread = start();
  send(thread, 1, 0, 400);
  thread.speak(100);
  thread.tell({ type: "forget" });
  thread.tell({ type: "clear", id: 1 });
  thread.speak(10);
  const types = thread.posted().map(({ type }) => type);
  assert.ok(types.includes("cut") && types.includes("forgotten"), `${types}`);
});

test("the volume is what is heard", () => {
  const thread = start();
  thread.tell({ type: "volume", volume: 0.5 });
  thread.speak(500);
  thread.tell({ type: "audio", id: 1, startMs: 0, pcm: new Int16Array(24000).fill(16384) });
  thread.speak(500);
  assert.ok(Math.abs(thread.posted("meter").at(-1).rms - 0.25) < 0.01);
  thread.tell({ type: "volume", volume: 0 });
  thread.speak(300);
  assert.equal(heard(thread.speak(20)).begin, Infinity);
});

test("the level is measured thirty times a second, and not in silence", () => {
  const thread = start();
  thread.speak(1000);
  assert.equal(thread.posted("meter").length, 0);
  send(thread, 1, 0, 1000);
  thread.speak(900);
  const count = thread.posted("meter").length;
  assert.ok(count >= 26 && count <= 30, `${count}`);
});

test("two responses play one after the other", () => {
  const thread = start();
  send(thread, 1, 0, 100);
  thread.tell({ type: "end", id: 1 });
  send(thread, 2, 0, 100);
  thread.tell({ type: "end", id: 2 });
  thread.speak(250);
  const told = thread.posted("report").map(({ id, cause }) => `${id} ${cause}`);
  assert.deepEqual(told, ["1 start", "1 end", "2 start", "2 end"]);
});
