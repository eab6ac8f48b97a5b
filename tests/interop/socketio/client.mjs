// A client of audio-streaming-server that does as it is told, and prints all that it gets.
//
//   node client.mjs URL '{"options": {...}, "steps": [...]}'
//
// Each line is an object. `event`: what came, with its payload and the milliseconds since the start.
// `life`: connect, disconnect, connect_error, transport. `sent`: sound was sent to its end.
//
// Steps, one after the other:
//   {"emit": ["name", payload...]}
//   {"speak": "file", "pace": 1}      24 kHz PCM16 in chunks of 2048 samples; pace 0: all at once
//   {"until": "name", "count": 2}     so many of these events have come; {"life": "disconnect"} too
//   {"wait": 500}
//   {"disconnect": true}, {"connect": true}
import { readFileSync } from "node:fs";
import { io } from "socket.io-client";

const SAMPLES = 2048;
const RATE_HZ = 24000;
const PATIENCE_MS = 40000;
const NAMES = [
  "backend_ready",
  "transcription_final",
  "response_transcript_partial",
  "response_transcript_final",
  "response_text_delta",
  "response_text_final",
  "response_audio_delta",
  "response_audio",
  "openai_error",
];

const [url, plan] = [process.argv[2], JSON.parse(process.argv[3])];
const began = performance.now();
const counts = new Map();
let moved = () => {};

const now = () => Math.round(performance.now() - began);
const print = (line) => process.stdout.write(`${JSON.stringify({ ...line, at: now() })}\n`);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function count(name) {
  counts.set(name, (counts.get(name) ?? 0) + 1);
  moved();
}

const socket = io(url, { reconnection: false, forceNew: true, ...plan.options });
socket.onAny((event, ...payload) => {
  print({ type: "event", event, payload: payload[0], known: NAMES.includes(event) });
  count(event);
});

function life(name, detail) {
  print({ type: "life", name, detail, transport: socket.io.engine?.transport?.name });
  count(name);
}

socket.on("connect", () => {
  life("connect", socket.id);
  const engine = socket.io.engine;
  engine.once("upgrade", () => life("upgrade", engine.transport.name));
});
socket.on("disconnect", (reason) => life("disconnect", reason));
socket.on("connect_error", (error) => life("connect_error", error.message));

async function until(name, wanted = 1) {
  const late = setTimeout(() => {
    print({ type: "late", name, wanted, got: Object.fromEntries(counts) });
    process.exit(3);
  }, PATIENCE_MS);
  while ((counts.get(name) ?? 0) < wanted) await new Promise((done) => (moved = done));
  clearTimeout(late);
}

async function speak(file, pace = 1) {
  const pcm = readFileSync(file);
  const size = SAMPLES * 2;
  const start = performance.now();
  for (let at = 0; at < pcm.length; at += size) {
    const due = start + (pace ? (at / size + 1) * (SAMPLES / RATE_HZ) * (1000 / pace) : 0);
    if (pace) await pause(Math.max(0, due - performance.now()));
    socket.emit("audio_chunk", pcm.subarray(at, at + size).toString("base64"));
  }
  print({ type: "sent", file, bytes: pcm.length });
}

async function act(step) {
  if (step.emit) socket.emit(...step.emit);
  else if (step.speak) await speak(step.speak, step.pace);
  else if (step.until) await until(step.until, step.count);
  else if (step.life) await until(step.life, step.count);
  else if (step.wait) await pause(step.wait);
  else if (step.disconnect) socket.disconnect();
  else if (step.connect) socket.connect();
}

for (const step of plan.steps) await act(step);
socket.disconnect();
await pause(50);
process.exit(0);
