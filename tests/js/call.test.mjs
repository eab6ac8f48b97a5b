import assert from "node:assert/strict";
import test from "node:test";

import { Call } from "../../static/calls/js/call.js";
import { FakeClock, FakeLoudspeaker, FakeNetwork, READY, item, sound } from "./doubles.mjs";

const FRAME_SAMPLES = 512;

/** A call that has been made and answered. */
function live(options = {}) {
  const page = dialled(options);
  page.network.last.accept();
  page.network.last.say({ ...READY, ...options.ready });
  return page;
}

function dialled(options = {}) {
  const clock = new FakeClock();
  const network = new FakeNetwork();
  const loudspeaker = new FakeLoudspeaker();
  const call = new Call({
    url: "ws://localhost/ws/call/demo/",
    agent: "demo",
    loudspeaker,
    microphoneRateHz: 16000,
    clock,
    make: network.make,
    random: () => 1,
    ...options,
  });
  call.start();
  return { call, clock, network, loudspeaker };
}

const frame = (i) => ({ position: i * FRAME_SAMPLES, samples: new Int16Array(FRAME_SAMPLES) });

const said = (call) => call.captions.lines().map(({ who, said, unheard }) => [who, said, unheard]);

/** Lose the socket and come back. */
function comeBack({ clock, network }, ready = {}) {
  network.last.drop(1006);
  clock.advance(100);
  network.last.accept();
  network.last.say({ ...READY, resumed: true, resume_secret: "s2", ...ready });
}

test("the first message says who and what", () => {
  const { network } = dialled({ token: "t", language: "de", metadata: { page: "/" } });
  network.last.accept();
  assert.deepEqual(network.last.heard(), [
    {
      type: "start", v: 1, agent: "demo", token: "t", language: "de",
      microphone: { rate_hz: 16000 }, turns: "auto", capabilities: ["playback"],
      metadata: { page: "/" }, resume: null,
    },
  ]);
});

test("a call without a microphone says so", () => {
  const { network } = dialled({ microphoneRateHz: null });
  network.last.accept();
  assert.equal(network.last.heard("start")[0].microphone, null);
});

test("what is typed while it connects is said once the call begins", () => {
  const { call, network } = dialled();
  assert.equal(call.type(" Hello. "), true);
  network.last.accept();
  assert.deepEqual(network.last.heard("text"), []);
  network.last.say(READY);
  assert.deepEqual(network.last.heard("text"), [{ type: "text", text: "Hello." }]);
});

test("stages: connecting, live, ended", () => {
  const { call, network } = dialled();
  const seen = [call.state.stage];
  network.last.accept();
  network.last.say(READY);
  seen.push(call.state.stage);
  network.last.say({ type: "end", reason: "agent_ended" });
  seen.push(call.state.stage);
  assert.deepEqual(seen, ["connecting", "live", "ended"]);
  assert.equal(call.state.end.reason, "agent_ended");
});

test("the microphone is heard from the moment the call is answered", () => {
  const { call, network } = dialled();
  network.last.accept();
  call.hear(frame(0));
  network.last.say(READY);
  call.hear(frame(1));
  assert.deepEqual(network.last.positions, [FRAME_SAMPLES]);
});

test("sound that cannot leave is dropped and counted", () => {
  const { call, network } = live();
  network.last.bufferedAmount = 13 * 32000;
  call.hear(frame(0));
  assert.deepEqual(network.last.positions, []);
  assert.equal(call.counts.framesDropped, 1);
});

test("the agent's sound goes to the loudspeaker", () => {
  const { network, loudspeaker } = live();
  network.last.say(sound(1, 0, 480));
  network.last.say(sound(1, 20, 480));
  network.last.say({ type: "audio_end", response_id: 1, length_ms: 40 });
  network.last.say({ type: "clear", response_id: 1 });
  assert.deepEqual(loudspeaker.asked, [["play", 1, 0], ["play", 1, 20], ["finish", 1], ["clear", 1]]);
});

test("playback reports and the answer to clear are told", () => {
  const { call, network } = live();
  call.played(1, 200, 80);
  call.cut(1, 260);
  assert.deepEqual(network.last.heard().slice(-2), [
    { type: "played", response_id: 1, played_ms: 200, buffered_ms: 80 },
    { type: "cut", response_id: 1, played_ms: 260 },
  ]);
});

test("a loudspeaker that plays nothing reports nothing", () => {
  const { call, network } = live({ silent: true });
  call.played(1, 200, 0);
  call.cut(1, 260);
  assert.deepEqual(network.last.heard("start")[0].capabilities, []);
  assert.deepEqual(network.last.heard().map(({ type }) => type), ["start", "ping"]);
});

test("messages that are not in the protocol change nothing", () => {
  const { call, network } = live();
  network.last.say({ type: "weather" });
  network.last.onmessage({ data: "no JSON" });
  network.last.onmessage({ data: new ArrayBuffer(3) });
  assert.equal(call.state.stage, "live");
});

test("muted, typed, turns, talk and hang up are told", () => {
  const { call, network } = live();
  call.mute(true);
  assert.equal(call.type("  hello "), true);
  assert.equal(call.type("   "), false);
  call.takeTurns("push_to_talk");
  call.talk(true);
  call.talk(true);
  call.talk(false);
  call.hangUp();
  assert.deepEqual(network.last.heard().slice(2), [
    { type: "mute", muted: true },
    { type: "text", text: "hello" },
    { type: "turns", mode: "push_to_talk" },
    { type: "talk", pressed: true },
    { type: "talk", pressed: false },
    { type: "hang_up" },
  ]);
});

test("leaving push-to-talk releases the button first", () => {
  const { call, network } = live({ turns: "push_to_talk", ready: { turns: "push_to_talk" } });
  call.talk(true);
  call.takeTurns("auto");
  assert.deepEqual(network.last.heard().slice(-2), [
    { type: "talk", pressed: false },
    { type: "turns", mode: "auto" },
  ]);
});

test("hanging up is silent at once, and waits for the last items", () => {
  const { call, network, loudspeaker, clock } = live();
  const { last } = network;
  call.hangUp();
  assert.equal(call.state.end.reason, "caller_hung_up");
  assert.deepEqual(loudspeaker.asked.at(-1), ["forget"]);
  last.say(item({ id: 1, text: "Hello", unheard: " there" }));
  assert.deepEqual(said(call), [["agent", "Hello", " there"]]);
  clock.advance(2100);
  assert.equal(last.readyState, 3);
  assert.equal(network.sockets.length, 1);
});

test("hanging up before the answer closes the socket", () => {
  const { call, network } = dialled();
  call.hangUp();
  assert.equal(network.last.readyState, 3);
  assert.equal(call.state.end.reason, "caller_hung_up");
});

test("a tool is shown while it runs", () => {
  const { call, network } = live();
  const tool = { type: "tool", tool_call_id: "t1", name: "book", failed: false };
  network.last.say({ ...tool, running: true });
  assert.deepEqual(call.state.tools.map(({ name }) => name), ["book"]);
  network.last.say({ ...tool, running: false });
  assert.deepEqual(call.state.tools, []);
});

test("a turn counts once its latency is known", () => {
  const { call, network } = live();
  network.last.say({ type: "turn", turn: 1, latency_ms: 912, stages: { stt: 912 } });
  network.last.say({ type: "turn", turn: 2, latency_ms: null, stages: {} });
  assert.equal(call.state.turn.latency_ms, 912);
});

test("an error that is not fatal is shown, and the call goes on", () => {
  const { call, network } = live();
  const error = { type: "error", code: "stt_failed", message: "Sorry.", fatal: false };
  network.last.say(error);
  network.last.say(error);
  assert.deepEqual(call.state.error, { code: "stt_failed", message: "Sorry.", count: 2 });
  network.last.drop(4409);
  assert.equal(call.state.end.reason, "taken_over", "the old error is not the reason");
});

test("a fatal error is the reason of the end", () => {
  const { call, network } = dialled();
  network.last.accept();
  network.last.say({ type: "error", code: "busy", message: "All lines are busy.", fatal: true });
  network.last.drop(4503);
  assert.deepEqual(call.state.end, { reason: "busy", message: "All lines are busy." });
});

test("coming back: the socket's first message names the call, the secret and the playhead", () => {
  const page = live();
  page.call.playhead(2, 1240);
  page.network.last.drop(1006);
  assert.equal(page.call.state.stage, "reconnecting");
  assert.deepEqual(page.loudspeaker.asked.at(-1), ["forget"]);
  page.call.playhead(2, 1260);
  page.clock.advance(100);
  page.network.last.accept();
  const [start] = page.network.last.heard("start");
  assert.deepEqual(start.resume, {
    call_id: "c1", secret: "s1", played: { response_id: 2, played_ms: 1260 },
  });
});

test("coming back: the playhead has to stand still first", async () => {
  const page = live();
  page.call.playhead(2, 1240);
  let quiet;
  page.loudspeaker.forget = () => new Promise((resolve) => (quiet = resolve));
  page.network.last.drop(1006);
  page.clock.advance(100);
  page.network.last.accept();
  assert.deepEqual(page.network.last.heard("start"), []);
  page.call.playhead(2, 1300);
  quiet();
  await Promise.resolve().then(() => {}).then(() => {});
  assert.equal(page.network.last.heard("start")[0].resume.played.played_ms, 1300);
});

test("coming back: the newest secret counts", () => {
  const page = live();
  comeBack(page);
  comeBack(page);
  assert.equal(page.network.last.heard("start")[0].resume.secret, "s2");
});

test("coming back: the microphone goes on where the server stopped hearing it", () => {
  const page = live();
  for (let i = 0; i < 4; i++) page.call.hear(frame(i));
  page.network.last.drop(1006);
  for (let i = 4; i < 8; i++) page.call.hear(frame(i));
  page.clock.advance(100);
  page.network.last.accept();
  page.call.hear(frame(8));
  page.network.last.say({ ...READY, resumed: true, microphone_position: 2 * FRAME_SAMPLES + 7 });
  page.call.hear(frame(9));
  assert.deepEqual(page.network.last.positions, [2, 3, 4, 5, 6, 7, 8, 9].map((i) => i * FRAME_SAMPLES));
});

test("coming back: the last ten seconds are kept, and no more", () => {
  const page = live();
  for (let i = 0; i < 1000; i++) page.call.hear(frame(i));
  comeBack(page);
  const { positions } = page.network.last;
  assert.equal(positions.length, Math.floor((10 * 16000) / FRAME_SAMPLES));
  assert.equal(positions.at(-1), 999 * FRAME_SAMPLES);
});

test("coming back: the server is told what changed meanwhile", () => {
  const page = live();
  page.network.last.drop(1006);
  page.call.mute(true);
  page.call.takeTurns("push_to_talk");
  page.clock.advance(100);
  page.network.last.accept();
  page.network.last.say({ ...READY, resumed: true });
  const told = page.network.last.heard().slice(2);
  assert.deepEqual(told, [
    { type: "turns", mode: "push_to_talk" },
    { type: "mute", muted: true },
    { type: "talk", pressed: false },
  ]);
});

test("coming back: what was typed and did not arrive is sent again, once", () => {
  const page = live();
  page.call.type("arrived");
  page.call.type("lost");
  comeBack(page);
  page.network.last.say(item({ id: 1, role: "user", source: "text", text: "arrived" }));
  page.clock.advance(2000);
  assert.deepEqual(page.network.last.heard("text"), [{ type: "text", text: "lost" }]);
});

test("coming back: too late is the end", () => {
  const { call, clock, network } = live({ ready: { limits: { max_call_ms: 1, resume_ms: 3000 } } });
  network.last.drop(1006);
  for (let i = 0; i < 10 && call.state.stage !== "ended"; i++) {
    clock.advance(1000);
    network.last.drop(1006);
  }
  assert.equal(call.state.end.reason, "connection_lost");
});

test("coming back: the call is over there", () => {
  const { call, clock, network } = live();
  network.last.drop(1006);
  clock.advance(100);
  network.last.accept();
  network.last.drop(4410);
  assert.equal(call.state.end.reason, "ended");
});

test("a server that is not there", () => {
  const { call, clock, network } = dialled();
  for (let i = 0; i < 20 && call.state.stage !== "ended"; i++) {
    network.last.drop(1006);
    clock.advance(1000);
  }
  assert.equal(call.state.end.reason, "unreachable");
});

test("nothing happens after the end", () => {
  const { call, clock, network } = live();
  network.last.say({ type: "end", reason: "silence" });
  network.last.drop(1000);
  clock.advance(60_000);
  call.hangUp();
  assert.equal(network.sockets.length, 1);
  assert.equal(call.state.end.reason, "silence");
});
