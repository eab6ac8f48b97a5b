// A whole call by `@openai/agents-realtime`: node call.mjs <url> <key> <folder of s16le files, 24 kHz>
//
// What happens is printed, a JSON object a line; the test reads it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

// Not exported: what the client itself makes of an event. Generic ones failed its schema.
import { parseRealtimeEvent } from "./node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs";

const [url, apiKey, sounds] = process.argv.slice(2);
const PATIENCE_MS = 20_000;
const FRAME_BYTES = 4_800; // 100 ms

const print = (type, fields = {}) => console.log(JSON.stringify({ type, ...fields }));

/** End, once all that was printed has been taken. */
const leave = (code) => process.stdout.write("", () => process.exit(code));

const openingHours = tool({
  name: "opening_hours",
  description: "Say when the practice is open on a day of the week.",
  parameters: z.object({ day: z.string() }),
  execute: async ({ day }) => {
    print("tool", { name: "opening_hours", day });
    return JSON.stringify({ day, opens: "10:00", closes: "14:00" });
  },
});

const agent = new RealtimeAgent({ name: "Front desk", instructions: "Answer briefly.", tools: [openingHours] });
const session = new RealtimeSession(agent, {
  transport: new OpenAIRealtimeWebSocket({ url }),
  model: "gpt-realtime",
});

const seen = [];
session.on("transport_event", (event) => {
  seen.push(event);
  const { isGeneric } = parseRealtimeEvent({ data: JSON.stringify(event) });
  if (isGeneric) print("generic", { event: event.type, whole: JSON.stringify(event).slice(0, 600) });
  if (event.type === "error") print("server_error", { error: event.error });
});
session.on("error", (error) => print("error", { what: String(error?.error?.message ?? JSON.stringify(error.error ?? error)) }));
session.on("audio_interrupted", () => print("interrupted"));
process.on("uncaughtException", (error) => {
  print("uncaught", { what: String(error.stack) });
  leave(3);
});

let soundBytes = 0;
session.on("audio", ({ data }) => (soundBytes += data.byteLength));

async function until(what, condition) {
  const giveUp = Date.now() + PATIENCE_MS;
  while (!condition()) {
    if (Date.now() > giveUp) {
      const last = seen.slice(-12).map((event) => event.type);
      print("gave_up", { what, last });
      leave(2);
      await new Promise(() => {});
    }
    await pause(20);
  }
}

const count = (type) => seen.filter((event) => event.type === type).length;
const of = (type, since) => seen.slice(since).filter((event) => event.type === type);

function answerSince(since) {
  const done = of("response.done", since).filter(({ response }) =>
    response.status === "completed" && response.output.some((item) => item.type === "message"));
  return done.at(-1)?.response.output.at(-1).content.map((part) => part.transcript ?? part.text).join("");
}

async function speak(name) {
  const pcm = readFileSync(join(sounds, `${name}.pcm`));
  for (let at = 0; at < pcm.length; at += FRAME_BYTES) {
    const frame = pcm.subarray(at, at + FRAME_BYTES);
    session.sendAudio(frame.buffer.slice(frame.byteOffset, frame.byteOffset + frame.length));
    await pause(100);
  }
}

// The opening

await session.connect({ apiKey, url });
await until("session.updated", () => count("session.updated") > 0);
const { session: effective } = of("session.updated", 0).at(-1);
print("session", { instructions: effective.instructions, tools: effective.tools.map(({ name }) => name) });

// The agent speaks first, because it is asked to

let since = seen.length;
session.transport.requestResponse();
await until("a greeting", () => answerSince(since) !== undefined);
print("greeting", { text: answerSince(since) });

// A text turn

since = seen.length;
soundBytes = 0;
session.sendMessage("What are your opening hours?");
await until("an answer", () => answerSince(since) !== undefined);
print("answer", { text: answerSince(since), soundMs: Math.round(soundBytes / 48) });

// A tool that the client runs

since = seen.length;
session.sendMessage("What are your opening hours on Friday?");
await until("the tool's answer", () => answerSince(since) !== undefined);
print("answer", { text: answerSince(since) });

// A spoken turn

await pause(500);
since = seen.length;
const listening = [speak("hours")];
await listening[0];
await until("an answer to speech", () => answerSince(since) !== undefined);
const heard = of("conversation.item.input_audio_transcription.completed", since).at(-1);
print("heard", { transcript: heard?.transcript });
print("answer", { text: answerSince(since) });

// The client interrupts, as with a button

since = seen.length;
soundBytes = 0;
session.sendMessage("How can I get to your office by bus?");
await until("sound", () => soundBytes > 0);
await pause(600);
session.interrupt();
await until("truncated", () => of("conversation.item.truncated", since).length > 0);
const [cut] = of("conversation.item.truncated", since);
print("cut", { audioEndMs: cut.audio_end_ms });

// The caller interrupts by speaking

await pause(500);
since = seen.length;
soundBytes = 0;
session.sendMessage("How can I get to your office by bus?");
await until("sound", () => soundBytes > 0);
await speak("friday");
await until("an answer to the interruption", () => answerSince(since) !== undefined
  && of("conversation.item.input_audio_transcription.completed", since).length > 0
  && of("response.done", since).length > 1);
await pause(1_000);
print("answer", { text: answerSince(since) });

print("history", {
  items: session.history.map((item) => ({
    type: item.type, role: item.role, status: item.status, name: item.name, output: item.output,
    text: item.content?.map((part) => part.transcript ?? part.text ?? "").join(""),
  })),
});
print("events", { types: [...new Set(seen.map(({ type }) => type))].sort() });
session.close();
await pause(200);
leave(0);
