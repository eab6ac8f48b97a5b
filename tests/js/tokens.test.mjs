import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";

import { Call } from "../../static/calls/js/call.js";
import { TokenSource } from "../../static/calls/js/token-source.js";
import { FakeClock, FakeLoudspeaker, FakeNetwork, READY } from "./doubles.mjs";

const NONE = { token: "", expiresInMs: 0, path: "", ask: null };

/** A call that gets a new token every time, and the way to give it one. */
function dialled(options = {}) {
  const clock = new FakeClock();
  const network = new FakeNetwork();
  const questions = [];
  const token = () => new Promise((give, refuse) => questions.push({ give, refuse }));
  const call = new Call({
    url: "ws://localhost/", agent: "demo", loudspeaker: new FakeLoudspeaker(),
    microphoneRateHz: 16000, clock, make: network.make, random: () => 1, token, ...options,
  });
  call.start();
  return { call, clock, network, questions };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("no socket is opened before there is a token", async () => {
  const { network, questions } = dialled();
  assert.equal(network.sockets.length, 0);
  questions[0].give("t1");
  await settled();
  network.last.accept();
  assert.equal(network.last.heard("start")[0].token, "t1");
});

test("hanging up while a token is fetched opens none", async () => {
  const { call, network, questions } = dialled();
  call.hangUp();
  questions[0].give("t1");
  await settled();
  assert.equal(network.sockets.length, 0);
  assert.equal(call.state.end.reason, "caller_hung_up");
});

test("without a token there is no call", async () => {
  const { call, network, questions } = dialled();
  questions[0].refuse(new Error("none"));
  await settled();
  assert.equal(network.sockets.length, 0);
  assert.deepEqual(call.state.end, { reason: "token_failed", message: "" });
});

test("a token that may have been used is replaced; to come back none is needed", async () => {
  const { clock, network, questions } = dialled();
  questions[0].give("t1");
  await settled();
  network.last.accept();
  network.last.drop(1006);
  clock.advance(100);
  network.last.accept();
  await settled();
  assert.deepEqual(network.last.heard("start"), [], "it waits for another one");
  questions[1].give("t2");
  await settled();
  await settled();
  assert.equal(network.last.heard("start")[0].token, "t2");
  network.last.say(READY);
  network.last.drop(1006);
  clock.advance(100);
  network.last.accept();
  await settled();
  assert.equal(network.last.heard("start").length, 1);
  assert.equal(questions.length, 2);
});

test("consent is told when it was given, and else nothing is", () => {
  for (const consent of [true, false, undefined]) {
    const { network } = dialled({ token: "t", consent });
    network.last.accept();
    assert.equal(network.last.heard("start")[0].consent, consent || undefined);
  }
});

for (const [name, happens] of [
  ["the call is unknown afterwards", ({ network }) => {
    network.last.accept();
    network.last.drop(4410);
  }],
  ["nobody comes back", ({ clock }) => clock.advance(60_000)],
]) {
  test(`a server that restarts is the reason when ${name}`, async () => {
    const page = dialled({ token: "t" });
    page.network.last.accept();
    page.network.last.say(READY);
    page.network.last.drop(4512);
    assert.equal(page.call.state.stage, "reconnecting");
    page.clock.advance(100);
    happens(page);
    assert.equal(page.call.state.end.reason, "restarted");
  });
}

test("the end that a restart tells is kept, whatever the socket says", () => {
  const page = dialled({ token: "t" });
  page.network.last.accept();
  page.network.last.say(READY);
  page.network.last.say({ type: "end", reason: "restarted" });
  page.network.last.drop(4512);
  page.clock.advance(60_000);
  assert.equal(page.call.state.end.reason, "restarted");
  assert.equal(page.network.sockets.length, 1);
});

test("the page's token is used once, and while it is fresh", async () => {
  let now = 0;
  const asked = [];
  const ask = async () => `asked ${asked.push(now)}`;
  const source = new TokenSource({ ...NONE, token: "t", expiresInMs: 60_000, ask, now: () => now });
  assert.equal(await source.take(), "t");
  assert.equal(await source.take(), "asked 1");
  const old = new TokenSource({ ...NONE, token: "t", expiresInMs: 60_000, ask, now: () => now });
  now = 56_000;
  assert.equal(await old.take(), "asked 2");
});

test("without a term the page's token is used again; without any there is none", async () => {
  const source = new TokenSource({ ...NONE, token: "t" });
  assert.deepEqual([await source.take(), await source.take()], ["t", "t"]);
  assert.equal(await new TokenSource(NONE).take(), "");
});

test("fresh tokens come from the page's own address", async (t) => {
  const heard = [];
  const answers = [[200, '{"token": "fresh", "expires_in": 90}'], [503, "{}"], [200, '{"token": 7}']];
  const server = createServer((request, answer) => {
    heard.push(request.headers.accept);
    const [status, body] = answers.shift();
    answer.writeHead(status).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const path = `http://127.0.0.1:${server.address().port}/embed/demo/`;
  const source = new TokenSource({ ...NONE, path });
  assert.equal(await source.take(), "fresh");
  await assert.rejects(source.take());
  await assert.rejects(source.take());
  assert.deepEqual(heard, Array(3).fill("application/json"));
});
