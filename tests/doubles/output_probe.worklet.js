const CHUNK_SAMPLES = 2048;

class OutputProbe extends AudioWorkletProcessor {
  samples = new Float32Array(CHUNK_SAMPLES);
  filled = 0;

  process([[channel]]) {
    if (!channel) return true;
    this.samples.set(channel, this.filled);
    this.filled += channel.length;
    if (this.filled < CHUNK_SAMPLES) return true;
    const frame = currentFrame + channel.length - CHUNK_SAMPLES;
    this.port.postMessage({ frame, samples: this.samples });
    this.filled = 0;
    return true;
  }
}
registerProcessor("output-probe", OutputProbe);
