// Put into a page before its own scripts and after the output probe: what goes over its sockets,
// and when.
(() => {
  const frames = [];
  const answers = [];
  const tap = (window.tap = { sent: [], received: [] });

  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      this.addEventListener("message", ({ data }) => {
        if (typeof data === "string") tap.received.push([performance.now(), JSON.parse(data)]);
        else answers.push(data.slice(0));
      });
    }

    send(data) {
      const now = performance.now();
      if (typeof data === "string") {
        tap.sent.push([now, JSON.parse(data)]);
      } else {
        const position = new DataView(data).getUint32(0, true);
        frames.push({ now, position, samples: new Int16Array(data.slice(4)) });
      }
      super.send(data);
    }
  };

  /** Samples are many: as text of base 64 they are read in no time. @param {Int16Array} samples */
  const packed = (samples) => {
    const bytes = new Uint8Array(samples.buffer);
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) {
      text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    }
    return btoa(text);
  };

  /** What the microphone gave: times, positions, lengths, and all samples in the order of sending. */
  tap.microphone = () => {
    const all = new Int16Array(frames.reduce((sum, { samples }) => sum + samples.length, 0));
    let at = 0;
    const rows = frames.map(({ now, position, samples }) => {
      all.set(samples, at);
      at += samples.length;
      return [now, position, samples.length];
    });
    return { rows, samples: packed(all) };
  };

  /** All sound of a response, as the server laid it out. @param {number} id @param {number} rateHz */
  tap.answer = (id, rateHz) => {
    const all = [];
    for (const data of answers) {
      const head = new DataView(data);
      if (head.getUint32(0, true) !== id) continue;
      const from = (head.getUint32(4, true) * rateHz) / 1000;
      new Int16Array(data.slice(8)).forEach((sample, at) => (all[from + at] = sample));
    }
    return packed(Int16Array.from(all));
  };

  /** What the output probe has: from sample frame 0 on. */
  tap.output = () => {
    const { chunks, rateHz, clearFrames } = window.outputProbe;
    const last = chunks.at(-1);
    const all = new Int16Array(last ? last.frame + last.samples.length : 0);
    for (const { frame, samples } of chunks) {
      all.set(samples.map((x) => Math.max(-32768, Math.min(32767, Math.round(x * 32768)))), frame);
    }
    return { rateHz, clearFrames, samples: packed(all) };
  };
})();
