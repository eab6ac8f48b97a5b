// One connection of `@openai/agents-realtime`, a typed turn: node opening.mjs <url> <key or secret>

import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from "@openai/agents-realtime";

const [url, apiKey] = process.argv.slice(2);
const print = (type, fields = {}) => console.log(JSON.stringify({ type, ...fields }));

const agent = new RealtimeAgent({ name: "Front desk" });
const session = new RealtimeSession(agent, { transport: new OpenAIRealtimeWebSocket({ url }) });
session.on("error", (error) => print("error", { what: String(error?.error?.message ?? error) }));
session.transport.on("connection_change", (state) => print("connection", { state }));
session.on("transport_event", (event) => {
  if (event.type !== "response.done") return;
  print("answer", { text: event.response.output.at(-1).content[0].transcript });
  session.close();
});

try {
  await session.connect({ apiKey, url });
  session.sendMessage("What are your opening hours?");
} catch (error) {
  print("refused", { what: String(error?.message ?? error) });
  session.close();
}
