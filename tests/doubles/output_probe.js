// Put into a page before its own scripts: records whatever any AudioContext gives its destination.
(() => {
  const probe = (window.outputProbe = { chunks: [], rateHz: 0, clearFrames: [], context: undefined });
  const recorders = new WeakMap();

  // Ready before any worklet of the page, so that no sound of it is missed.
  window.AudioContext = class extends AudioContext {
    constructor(...options) {
      super(...options);
      const worklet = this.audioWorklet;
      if (!worklet) return;
      const add = worklet.addModule.bind(worklet);
      const ready = add(window.outputProbeAddress()).then(() => {
        const recorder = new AudioWorkletNode(this, "output-probe", { numberOfOutputs: 0 });
        recorder.port.onmessage = ({ data: { frame, samples } }) =>
          probe.chunks.push({ frame, samples: Array.from(samples) });
        recorders.set(this, recorder);
      });
      ready.catch(() => {}); // Closed meanwhile.
      worklet.addModule = (address) => ready.then(() => add(address));
    }
  };

  const connect = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode && this instanceof AudioWorkletNode) {
      probe.context = this.context;
      probe.rateHz = this.context.sampleRate;
      connect.call(this, recorders.get(this.context));
    }
    return connect.call(this, to, ...rest);
  };

  // Where the sound stood when a `clear` arrived.
  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      this.addEventListener("message", ({ data }) => {
        if (typeof data === "string" && data.includes('"clear"')) {
          probe.clearFrames.push(Math.round(probe.context.currentTime * probe.rateHz));
        }
      });
    }
  };
})();
