// Time and sockets for tests of the parts without a page.

export class FakeClock {
  #now = 1000;
  #due = [];

  now = () => this.#now;

  after = (ms, action) => {
    const entry = { at: this.#now + ms, action };
    this.#due.push(entry);
    return () => (this.#due = this.#due.filter((other) => other !== entry));
  };

  advance(ms) {
    const end = this.#now + ms;
    for (;;) {
      const [next] = this.#due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#now = Math.max(this.#now, next.at);
      this.#due = this.#due.filter((other) => other !== next);
      next.action();
    }
    this.#now = end;
  }
}

/** The sockets that a page opened, oldest first; the test plays the server. */
export class FakeNetwork {
  sockets = [];

  make = (url) => {
    const socket = new FakeSocket(url);
    this.sockets.push(socket);
    return socket;
  };

  get last() {
    return this.sockets.at(-1);
  }
}

class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  sent = [];
  onopen = null;
  onmessage = null;
  onclose = null;

  constructor(url) {
    this.url = url;
  }

  send(data) {
    this.sent.push(data);
  }

  close() {
    this.readyState = 3;
  }

  // The server's side

  accept() {
    this.readyState = 1;
    this.onopen?.();
  }

  drop(code) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  say(message) {
    const data = message instanceof ArrayBuffer ? message : JSON.stringify(message);
    this.onmessage?.({ data });
  }

  /** The messages of the page, sound left out; of one type if one is named. */
  heard(type) {
    const messages = this.sent.filter((data) => typeof data === "string").map((data) => JSON.parse(data));
    return type ? messages.filter((message) => message.type === type) : messages;
  }

  /** Positions of the microphone frames that came. */
  get positions() {
    return this.sent
      .filter((data) => typeof data !== "string")
      .map((data) => new DataView(data).getUint32(0, true));
  }
}

/** Writes down what it is asked to do. */
export class FakeLoudspeaker {
  asked = [];

  play = ({ response_id, start_ms }) => this.asked.push(["play", response_id, start_ms]);
  finish = (id) => this.asked.push(["finish", id]);
  clear = (id) => this.asked.push(["clear", id]);
  forget = () => void this.asked.push(["forget"]);
}

export const READY = {
  type: "ready",
  v: 1,
  call_id: "c1",
  resume_secret: "s1",
  resumed: false,
  agent: { slug: "demo", name: "Demo agent" },
  language: "en",
  notice: "",
  recording: true,
  providers: {},
  audio: { rate_hz: 24000 },
  microphone_position: 0,
  turns: "auto",
  limits: { max_call_ms: 900000, resume_ms: 30000 },
};

/** An item as the server sends it. */
export const item = (fields) => ({
  type: "item",
  item: {
    id: 1,
    role: "agent",
    status: "complete",
    source: "model",
    turn: 1,
    text: "",
    unheard: "",
    started_ms: 0,
    ended_ms: null,
    response_id: null,
    metadata: {},
    ...fields,
  },
});

/** A binary message of the server. */
export function sound(responseId, startMs, samples) {
  const data = new ArrayBuffer(8 + 2 * samples);
  const view = new DataView(data);
  view.setUint32(0, responseId, true);
  view.setUint32(4, startMs, true);
  return data;
}
