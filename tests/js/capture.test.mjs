import assert from "node:assert/strict";
import test from "node:test";

import { audioThread } from "./audio-thread.mjs";

const RATE_HZ = 16000;
const FRAME_SAMPLES = 512;

const start = (rateHz = RATE_HZ, frameSamples = FRAME_SAMPLES) =>
  audioThread("capture.worklet.js", rateHz, { processorOptions: { frameSamples } });

/** A ramp: sample i is i, so that a frame tells where it was taken. */
const ramp = (from, samples) =>
  Float32Array.from({ length: samples }, (_, i) => (from + i) / 0x8000);

const open = (thread) => thread.tell({ type: "gate", open: true });

test("nothing leaves before the call began", () => {
  const thread = start();
  open(thread);
  thread.hear(ramp(0, 2048));
  assert.equal(thread.posted("frame").length, 0);
});

test("frames of 32 ms, numbered by their first sample", () => {
  const thread = start();
  open(thread);
  thread.tell({ type: "begin" });
  thread.hear(ramp(0, 2048));
  const frames = thread.posted("frame");
  assert.deepEqual(frames.map(({ position }) => position), [0, 512, 1024, 1536]);
  assert.deepEqual(Array.from(frames[1].samples), Array.from({ length: 512 }, (_, i) => 512 + i));
});

test("frames need not be whole quanta", () => {
  const thread = start(44100, 1411);
  open(thread);
  thread.tell({ type: "begin" });
  thread.hear(ramp(0, 128 * 34));
  const frames = thread.posted("frame");
  assert.deepEqual(frames.map(({ position }) => position), [0, 1411, 2822]);
  assert.equal(frames[2].samples[0], 2822);
});

test("a closed gate discards everything, and time goes on", () => {
  const thread = start();
  open(thread);
  thread.tell({ type: "begin" });
  thread.hear(ramp(0, 512 + 128));
  thread.posted();
  thread.tell({ type: "gate", open: false });
  thread.hear(ramp(640, 1280));
  open(thread);
  thread.hear(ramp(1920, 512));
  const posted = thread.posted().filter(({ type }) => type !== "level");
  assert.deepEqual(posted.map(({ type }) => type), ["closed", "frame"]);
  assert.equal(posted[1].position, 1920);
  assert.equal(posted[1].samples[0], 1920);
});

test("releasing the button sends what was begun, and then says so", () => {
  const thread = start();
  open(thread);
  thread.tell({ type: "begin" });
  thread.hear(ramp(0, 640));
  thread.tell({ type: "gate", open: false, flush: true });
  const posted = thread.posted().filter(({ type }) => type !== "level");
  assert.deepEqual(posted.map(({ type }) => type), ["frame", "frame", "closed"]);
  assert.equal(posted[1].position, 512);
  assert.equal(posted[1].samples.length, 128);
});

test("without a device no frame is made, and time goes on", () => {
  const thread = start();
  open(thread);
  thread.tell({ type: "begin" });
  thread.hear(ramp(0, 256));
  thread.hearNothing(4);
  thread.hear(ramp(768, 512));
  const frames = thread.posted("frame");
  assert.deepEqual(frames.map(({ position, samples }) => [position, samples.length]), [
    [0, 256],
    [768, 512],
  ]);
});

test("time that the browser slept through is skipped", () => {
  const thread = start();
  open(thread);
  thread.tell({ type: "begin" });
  thread.hear(ramp(0, 256));
  thread.tell({ type: "skip", samples: 16000 });
  thread.hear(ramp(0, 512));
  assert.deepEqual(thread.posted("frame").map(({ position }) => position), [0, 16256]);
});

test("sound beyond the range is clipped, not wrapped", () => {
  const thread = start();
  open(thread);
  thread.tell({ type: "begin" });
  thread.hear(new Float32Array(512).fill(1.5));
  thread.hear(new Float32Array(512).fill(-1.5));
  const [high, low] = thread.posted("frame");
  assert.equal(high.samples[0], 32767);
  assert.equal(low.samples[0], -32768);
});

test("the level is measured thirty times a second, muted or not", () => {
  const thread = start();
  thread.hear(new Float32Array(16000).fill(0.5));
  const levels = thread.posted("level");
  assert.ok(levels.length >= 28 && levels.length <= 32, `${levels.length}`);
  assert.ok(Math.abs(levels[0].rms - 0.5) < 1e-6);
});
