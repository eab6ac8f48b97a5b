import assert from "node:assert/strict";
import test from "node:test";

import { CallSocket } from "../../static/calls/js/socket.js";
import { FakeClock, FakeNetwork } from "./doubles.mjs";

/** The server has opened, and not said a word. */
function knocking({ random = () => 1, first = () => '{"type":"first"}' } = {}) {
  const clock = new FakeClock();
  const network = new FakeNetwork();
  const socket = new CallSocket("ws://x/", { first, make: network.make, clock, random });
  const events = [];
  for (const type of ["message", "down", "over"]) {
    socket.addEventListener(type, (event) => events.push([type, event.detail ?? null]));
  }
  socket.open();
  network.last.accept();
  return { clock, network, socket, events };
}

function connected({ graceMs = 30000, random = () => 1 } = {}) {
  const there = knocking({ random });
  there.socket.confirm(graceMs);
  return there;
}

test("every connection begins with the first message", () => {
  const { clock, network } = connected();
  assert.equal(network.last.sent[0], '{"type":"first"}');
  network.last.drop(1006);
  clock.advance(100);
  network.last.accept();
  assert.equal(network.last.sent[0], '{"type":"first"}');
});

test("it comes back at once, then with growing pauses", () => {
  const { clock, network } = connected();
  const pauses = [];
  for (let i = 0; i < 7; i++) {
    const before = network.sockets.length;
    const at = clock.now();
    network.last.drop(1006);
    while (network.sockets.length === before) clock.advance(1);
    pauses.push(clock.now() - at);
  }
  assert.deepEqual(pauses, [60, 250, 500, 1000, 2000, 4000, 4000]);
});

test("the pauses are jittered", () => {
  const { clock, network } = connected({ random: () => 0 });
  network.last.drop(1006);
  clock.advance(31);
  assert.equal(network.sockets.length, 2);
});

test("told that it was too fast, it waits a second", () => {
  const { clock, network } = connected();
  network.last.drop(4429);
  clock.advance(990);
  assert.equal(network.sockets.length, 1);
  clock.advance(20);
  assert.equal(network.sockets.length, 2);
});

test("which close codes end it", () => {
  for (const code of [1000, 4400, 4401, 4403, 4404, 4409, 4410, 4502, 4503]) {
    const { clock, network, events } = connected();
    network.last.drop(code);
    clock.advance(60_000);
    assert.equal(network.sockets.length, 1, `${code}`);
    assert.deepEqual(events.map(([type]) => type), ["over"], `${code}`);
  }
});

test("a silent connection is asked, and given up when it does not answer", () => {
  const { clock, network, events } = connected();
  network.last.say({ type: "pong", t: clock.now() });
  clock.advance(2000);
  assert.equal(network.last.heard("ping").length, 2);
  clock.advance(12_000);
  assert.equal(network.sockets.length, 2);
  assert.equal(network.sockets[0].readyState, 3);
  assert.deepEqual(events.at(-1), ["down", { code: 1006 }]);
});

test("a connection that answers is kept", () => {
  const { clock, network } = connected();
  for (let i = 0; i < 60; i++) {
    const ping = network.last.heard("ping").at(-1);
    network.last.say({ type: "pong", t: ping.t });
    clock.advance(1000);
  }
  assert.equal(network.sockets.length, 1);
});

test("the way there and back is measured", () => {
  const { clock, network, socket } = connected();
  clock.advance(45);
  network.last.say({ type: "pong", t: network.last.heard("ping")[0].t });
  assert.equal(socket.rttMs, 45);
});

test("a connection that never opens is given up after five seconds", () => {
  const { clock, network } = connected();
  network.last.drop(1006);
  clock.advance(100);
  assert.equal(network.sockets.length, 2);
  clock.advance(6000);
  assert.equal(network.sockets.length, 3);
});

test("a server that opens and never takes the call in is given up", () => {
  const { clock, network, socket, events } = knocking();
  clock.advance(19_000);
  assert.deepEqual(events, []);
  clock.advance(2000);
  assert.deepEqual(events.map(([type, detail]) => [type, detail.outcome]), [["over", "lost"]]);
  assert.equal(network.last.readyState, 3);
  assert.equal(socket.send("{}"), false);
});

test("one that takes a call back in has less time, and another try", () => {
  const { clock, network, events } = connected();
  network.last.drop(1006);
  clock.advance(100);
  network.last.accept();
  clock.advance(8300);
  assert.equal(network.sockets.length, 3);
  assert.deepEqual(events.map(([type]) => type), ["down"]);
});

test("the time of the server begins with the first message", async () => {
  let tell = (_text) => {};
  const { clock, network, events } = knocking({ first: () => new Promise((resolve) => (tell = resolve)) });
  clock.advance(30_000);
  assert.deepEqual(events, []);
  tell('{"type":"first"}');
  await Promise.resolve();
  clock.advance(21_000);
  assert.deepEqual(network.last.sent, ['{"type":"first"}']);
  assert.deepEqual(events.map(([type]) => type), ["over"]);
});

test("the network is back: no more waiting", () => {
  const { clock, network, socket } = connected();
  for (let i = 0; i < 6; i++) {
    network.last.drop(1006);
    if (i < 5) clock.advance(4000);
  }
  const before = network.sockets.length;
  socket.retryNow();
  assert.equal(network.sockets.length, before + 1);
  socket.retryNow();
  assert.equal(network.sockets.length, before + 1, "one attempt at a time");
});

test("an abandoned connection is not listened to", () => {
  const { clock, network, events } = connected();
  const [old] = network.sockets;
  clock.advance(12_000);
  old.say({ type: "end", reason: "silence" });
  old.drop(1000);
  assert.ok(!events.some(([type]) => type === "over" || type === "message"));
});
