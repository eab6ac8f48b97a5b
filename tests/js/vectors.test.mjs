// The rows of tests/vectors/browser-v1.json, as far as the page writes and reads them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import * as protocol from "../../static/calls/js/protocol.js";

const VECTORS = JSON.parse(
  readFileSync(new URL("../vectors/browser-v1.json", import.meta.url), "utf8"),
);

/** @param {string} hex */
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

/** @param {ArrayBuffer} data */
const hexOf = (data) => Buffer.from(data).toString("hex");

/** @param {string} hex */
const samples = (hex) => new Int16Array(bytes(hex).buffer);

/** @param {any} row */
function received(row) {
  if (row.hex !== undefined) return bytes(row.hex).buffer;
  return typeof row.message === "string" ? row.message : JSON.stringify(row.message);
}

for (const row of VECTORS.client_to_server) {
  if (!row.means || row.decode_only) continue;
  test(`the page writes: ${row.id}`, () => {
    if (row.hex !== undefined) {
      const { position, pcm } = row.means;
      assert.equal(hexOf(protocol.encodeAudio(position, samples(pcm))), row.hex);
      return;
    }
    const { v, ...message } = row.means;
    assert.deepEqual(JSON.parse(protocol.encode(message)), row.message);
  });
}

for (const row of VECTORS.server_to_client) {
  test(`the page reads: ${row.id}`, () => {
    if (row.error) {
      assert.throws(() => protocol.decode(received(row)), protocol.ProtocolError);
      return;
    }
    /** @type {any} */
    const message = protocol.decode(received(row));
    if (message.pcm) message.pcm = hexOf(message.pcm.buffer);
    assert.deepEqual(message, row.means);
  });
}

test("no bytes and no text whatever break the reader", () => {
  let seed = 7;
  const next = () => (seed = (seed * 1103515245 + 12345) % 2 ** 31);
  for (let i = 0; i < 2000; i++) {
    const data = Uint8Array.from({ length: next() % 40 }, () => next() % 256);
    for (const input of [data.buffer, Buffer.from(data).toString("latin1")]) {
      try {
        protocol.decode(input);
      } catch (error) {
        assert.ok(error instanceof protocol.ProtocolError, `${error}`);
      }
    }
  }
});

test("a type that every object has is no message", () => {
  for (const type of ["constructor", "__proto__", "toString", ["clear"]]) {
    assert.throws(() => protocol.decode(JSON.stringify({ type })), protocol.ProtocolError);
  }
});

test("what a close code asks for", () => {
  const expected = {
    over: [1000, 4400, 4401, 4403, 4404, 4409, 4410, 4440, 4441],
    later: [4502, 4503],
    resume: [1001, 1005, 1006, 1011, 1012, 4408, 4413, 4429, 4512, 4999],
  };
  for (const [outcome, codes] of Object.entries(expected)) {
    for (const code of codes) assert.equal(protocol.closeOutcome(code), outcome, `${code}`);
  }
});
