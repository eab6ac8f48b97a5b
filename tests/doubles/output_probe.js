// Put into a page before its own scripts: records whatever any AudioContext gives its destination.
(() => {
  const connect = AudioNode.prototype.connect;
  const probe = (window.outputProbe = {
    chunks: [],
    rateHz: 0,
    clearFrames: [],
    context: undefined,
  });

  async function record(context) {
    probe.context = context;
    probe.rateHz = context.sampleRate;
    await context.audioWorklet.addModule(window.outputProbeAddress());
    const node = new AudioWorkletNode(context, "output-probe", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => probe.chunks.push({ ...data, samples: Array.from(data.samples) });
    return node;
  }

  const recorders = new WeakMap();
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode && this instanceof AudioWorkletNode) {
      if (!recorders.has(this.context)) recorders.set(this.context, record(this.context));
      void recorders.get(this.context).then((node) => connect.call(this, node));
    }
    return connect.call(this, to, ...rest);
  };

  // Where the sound stood when a `clear` arrived.
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...args) {
      super(...args);
      this.addEventListener("message", ({ data }) => {
        if (typeof data === "string" && data.includes('"clear"')) {
          probe.clearFrames.push(Math.round(probe.context.currentTime * probe.rateHz));
        }
      });
    }
  };
})();
