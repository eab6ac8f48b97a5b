// A page of audio-streaming-server that does as it is told, and prints all that it gets.
//
//   node client.mjs URL '{"options": {...}, "steps": [...]}'
//
// `options` are socket.io-client's. Each line is an object with the milliseconds since the start:
// `event` with what came; `life` with connect, upgrade, disconnect, connect_error; `ear` with how
// much of the agent's sound the loudspeaker threw away at a `backend_ready`; `late` at the end of
// its patience.
//
// Steps, one after the other:
//   {"emit": ["name", payload...]}
//   {"microphone": true}            from now on a chunk every 85 ms, silence where nothing is said
//   {"speak": "file"}               raw 24 kHz PCM16, and wait until it is said
//   {"tell": "file"}                the same, until it was answered; again if it was not understood
//   {"burst": "file"}               the same, all at once
//   {"until": "name", "count": 2}   so many of these have come, events or lives
//   {"more": "name"}                one more than so far
//   {"heard": true}                 the loudspeaker has nothing left
//   {"wait": 500}
//   {"mark": "file"}               make this file: whoever started this knows how far it is
//   {"disconnect": true}, {"connect": true}
import { readFileSync, writeFileSync } from "node:fs";
import { io } from "socket.io-client";

const SAMPLES = 2048;
const CHUNK_BYTES = SAMPLES * 2;
const BYTES_PER_MS = 48;
const CHUNK_MS = CHUNK_BYTES / BYTES_PER_MS;
const PATIENCE_MS = 45000;
const SILENCE = Buffer.alloc(CHUNK_BYTES);

const [url, plan] = [process.argv[2], JSON.parse(process.argv[3])];
const counts = new Map();
let waiting = [];

const now = () => Math.round(performance.now());
const print = (line) => process.stdout.write(`${JSON.stringify({ ...line, at: now() })}\n`);
/** End, once all that was printed has been taken. */
const leave = (code) => process.stdout.write("", () => process.exit(code));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const counted = (name) => counts.get(name) ?? 0;

function count(name) {
  counts.set(name, counted(name) + 1);
  const woken = waiting;
  waiting = [];
  for (const wake of woken) wake();
}

// The loudspeaker: as the page's, it queues without end, and backend_ready empties it.
let playedAt = 0;

function play(delta) {
  const ms = Buffer.from(delta, "base64").length / BYTES_PER_MS;
  playedAt = Math.max(playedAt, performance.now()) + ms;
}

function silence() {
  const left = Math.max(0, playedAt - performance.now());
  playedAt = 0;
  if (left) print({ type: "ear", left: Math.round(left) });
}

const socket = io(url, { reconnection: false, forceNew: true, ...plan.options });

socket.onAny((event, ...payload) => {
  if (event === "response_audio_delta") play(payload[0]);
  if (event === "backend_ready") silence();
  print({ type: "event", event, payload: payload[0], extra: payload.length - 1 });
  count(event);
});

function life(name, detail) {
  print({ type: "life", name, detail, transport: socket.io.engine?.transport?.name });
  count(name);
}

socket.io.on("open", () => {
  socket.io.engine.once("upgrade", (transport) => life("upgrade", transport.name));
});
socket.on("connect", () => life("connect", socket.id));
socket.on("disconnect", (reason) => life("disconnect", reason));
socket.on("connect_error", (error) => life("connect_error", error.message));

// The microphone
let spoken = [];

async function microphone() {
  const began = performance.now();
  for (let number = 1; ; number += 1) {
    await pause(Math.max(0, began + number * CHUNK_MS - performance.now()));
    if (!socket.connected) return;
    const chunk = spoken.shift() ?? SILENCE;
    socket.emit("audio_chunk", chunk.toString("base64"));
    if (!spoken.length) count("said");
  }
}

function* chunks(file) {
  const pcm = readFileSync(file);
  for (let at = 0; at < pcm.length; at += CHUNK_BYTES) yield pcm.subarray(at, at + CHUNK_BYTES);
}

async function until(name, wanted = 1) {
  const late = setTimeout(() => {
    print({ type: "late", name, wanted, got: Object.fromEntries(counts) });
    leave(3);
  }, PATIENCE_MS);
  while (counted(name) < wanted) await new Promise((done) => waiting.push(done));
  clearTimeout(late);
}

async function speak(file) {
  spoken.push(...chunks(file));
  await until("said", counted("said") + 1);
}

async function tell(file) {
  for (let attempt = 0; attempt < 4; attempt += 1) {
    const understood = counted("transcription_final");
    const answers = counted("response_transcript_final");
    await speak(file);
    await until("response_transcript_final", answers + 1);
    if (counted("transcription_final") > understood) return;
  }
}

async function heard() {
  while (playedAt > performance.now()) await pause(playedAt - performance.now());
}

async function act(step) {
  if (step.emit) socket.emit(...step.emit);
  else if (step.microphone) microphone();
  else if (step.speak) await speak(step.speak);
  else if (step.tell) await tell(step.tell);
  else if (step.burst) for (const chunk of chunks(step.burst)) socket.emit("audio_chunk", chunk.toString("base64"));
  else if (step.until) await until(step.until, step.count);
  else if (step.more) await until(step.more, counted(step.more) + 1);
  else if (step.heard) await heard();
  else if (step.wait) await pause(step.wait);
  else if (step.mark) writeFileSync(step.mark, "");
  else if (step.disconnect) socket.disconnect();
  else if (step.connect) socket.connect();
}

for (const step of plan.steps) await act(step);
socket.disconnect();
await pause(100);
leave(0);
