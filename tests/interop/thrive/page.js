// The page around the transport. Its one fixed address leads to this server; all else is untouched.

const Plain = window.WebSocket;
const FIXED = "wss://api.openai.com/v1/";

window.WebSocket = class extends Plain {
  constructor(url, ...rest) {
    if (!String(url).startsWith(FIXED)) throw new Error(`another address: ${url}`);
    super(String(url).replace(FIXED, `${location.origin.replace("http", "ws")}/v1/`), ...rest);
    this.addEventListener("close", ({ code }) => seen.push({ type: "closed", code }));
    this.addEventListener("message", ({ data }) => raw.push(JSON.parse(data)));
  }
};

window.seen = []; // what the application gets
window.raw = []; // what came over the wire

window.begin = async (config) => {
  const getSessionToken = async () => {
    const response = await fetch("/api/realtime/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
    });
    if (!response.ok) throw new Error(`no secret: ${response.status}`);
    return response.json();
  };
  window.transport = thrive.createWebSocketTransport(config, { getSessionToken });
  await transport.connect({
    onEvent: (event) => {
      const samples = event.audio instanceof Int16Array ? event.audio.length : undefined;
      const loudest = samples && event.audio.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
      seen.push(samples === undefined ? event : { type: event.type, samples, loudest });
    },
  });
};
