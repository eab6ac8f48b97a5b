// @ts-check

const RINGS = 15;
const FRAME_MS = 30;
/** How long a sound takes from one ring to the next. */
const STEP_MS = 42;
const HISTORY_MS = (RINGS + 2) * STEP_MS;
const POINTS = 72;
const INNER = 0.235;
const OUTER = 0.475;
const FLOOR_DB = -50;
const SPAN_DB = 36;

/**
 * @typedef {"still" | "waiting" | "listening" | "hearing" | "thinking" | "speaking"} Mood
 * @typedef {{ at: number, agent: number, caller: number }} Sample
 * @typedef {{ agent: string, caller: string, line: string }} Inks
 */

/** Loudness as an eye expects it: 0 silence, 1 loud. @param {number} rms */
export function strength(rms) {
  if (rms <= 0) return 0;
  const db = 20 * Math.log10(rms);
  return Math.max(0, Math.min(1, (db - FLOOR_DB) / SPAN_DB));
}

/**
 * Who is speaking, drawn: the agent is in the middle, the caller is all around. What the agent
 * says runs outwards through the rings, what the caller says runs inwards.
 *
 * Where motion is not wanted, the rings stand still and only say whose turn it is.
 */
export class Picture {
  #canvas;
  #pen;
  /** @type {Sample[]} newest last */ #history = [];
  #levels = { microphone: 0, output: 0 };
  /** @type {Mood} */ #mood = "still";
  /** @type {Inks} */ #inks = { agent: "", caller: "", line: "" };
  #size = 0;
  #drawnAt = 0;
  #frame = 0;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #resized = new ResizeObserver(() => this.#fit());
  #redraw = () => this.#fit();

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    this.#pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.#resized.observe(canvas);
    this.#still.addEventListener("change", this.#redraw);
    this.#dark.addEventListener("change", this.#redraw);
  }

  close() {
    cancelAnimationFrame(this.#frame);
    this.#resized.disconnect();
    this.#still.removeEventListener("change", this.#redraw);
    this.#dark.removeEventListener("change", this.#redraw);
  }

  /** The colours are new. */
  redraw() {
    this.#fit();
  }

  /** @param {Mood} mood */
  show(mood) {
    if (mood === this.#mood) return;
    this.#mood = mood;
    this.#draw(performance.now());
  }

  /** @param {{ microphone: number, output: number }} levels RMS, 0 to 1 */
  hear(levels) {
    this.#levels = levels;
  }

  #fit() {
    const { width } = this.#canvas.getBoundingClientRect();
    const scale = Math.min(2, devicePixelRatio || 1);
    this.#size = Math.round(width * scale);
    this.#canvas.width = this.#canvas.height = this.#size;
    const style = getComputedStyle(this.#canvas);
    this.#inks = {
      agent: style.getPropertyValue("--agent"),
      caller: style.getPropertyValue("--caller"),
      line: style.getPropertyValue("--line-strong"),
    };
    this.#draw(performance.now());
  }

  /** @param {number} now */
  #draw(now) {
    cancelAnimationFrame(this.#frame);
    this.#drawnAt = now;
    this.#pen.setTransform(this.#size, 0, 0, this.#size, 0, 0);
    this.#pen.clearRect(0, 0, 1, 1);
    if (this.#still.matches) {
      this.#drawStill();
      return;
    }
    this.#remember(now);
    for (let ring = 0; ring < RINGS; ring++) this.#drawRing(ring, now);
    if (this.#mood === "thinking" || this.#mood === "waiting") this.#drawOrbit(now);
    if (this.#mood !== "still" || this.#rings()) this.#drawLater();
  }

  #drawLater() {
    this.#frame = requestAnimationFrame((now) => {
      if (now - this.#drawnAt < FRAME_MS) this.#drawLater();
      else this.#draw(now);
    });
  }

  /** @param {number} now */
  #remember(now) {
    // Squared, so that syllables show as waves.
    const agent = strength(this.#levels.output) ** 2;
    const caller = strength(this.#levels.microphone) ** 2;
    this.#history.push({ at: now, agent, caller });
    while ((this.#history[0]?.at ?? now) < now - HISTORY_MS) this.#history.shift();
  }

  /** Whether sound is still on its way. */
  #rings() {
    return this.#history.some(({ agent, caller }) => agent || caller);
  }

  /** @param {number} at @returns {Sample} */
  #then(at) {
    const later = this.#history.findIndex((sample) => sample.at >= at);
    return this.#history.at(later) ?? { at, agent: 0, caller: 0 };
  }

  /** @param {number} ring from the inside @param {number} now */
  #drawRing(ring, now) {
    const out = ring / (RINGS - 1);
    const agent = this.#then(now - ring * STEP_MS).agent * (1 - 0.5 * out);
    const caller = this.#then(now - (RINGS - 1 - ring) * STEP_MS).caller * (0.5 + 0.5 * out);
    // Where the two meet the stronger one is seen: mixed they would be mud.
    const sound = Math.max(agent, caller);
    if (sound < 0.03) {
      this.#circle(ring, 0, now);
      this.#stroke(this.#inks.line, 0.6 - 0.35 * out, 0.0026);
      return;
    }
    this.#circle(ring, sound, now);
    const ink = agent < caller ? this.#inks.caller : this.#inks.agent;
    this.#stroke(ink, 0.3 + 0.7 * sound, 0.003 + 0.013 * sound);
  }

  /**
   * A ring, bent by a sound.
   *
   * @param {number} ring @param {number} bend 0 to 1 @param {number} now
   */
  #circle(ring, bend, now) {
    const radius = radiusOf(ring);
    const turn = now / 2600;
    this.#pen.beginPath();
    for (let i = 0; i <= POINTS; i++) {
      const angle = (i / POINTS) * 2 * Math.PI;
      const wave = Math.sin(3 * angle + turn + ring * 0.35) + 0.6 * Math.sin(5 * angle - turn * 1.7);
      const r = radius * (1 + 0.021 * bend * wave);
      this.#pen.lineTo(0.5 + r * Math.cos(angle), 0.5 + r * Math.sin(angle));
    }
    this.#pen.closePath();
  }

  /** Somebody is at work. @param {number} now */
  #drawOrbit(now) {
    const ink = this.#mood === "thinking" ? this.#inks.agent : this.#inks.line;
    for (const [i, ring] of [1, 3, 5].entries()) {
      const begin = (now / (620 + 240 * i)) % (2 * Math.PI);
      this.#pen.beginPath();
      this.#pen.arc(0.5, 0.5, radiusOf(ring), begin, begin + 1.1 - 0.25 * i);
      this.#stroke(ink, 0.9 - 0.25 * i, 0.008);
    }
  }

  #drawStill() {
    for (let ring = 0; ring < RINGS; ring++) {
      const out = ring / (RINGS - 1);
      this.#pen.beginPath();
      this.#pen.arc(0.5, 0.5, radiusOf(ring), 0, 2 * Math.PI);
      if (this.#mood === "speaking" && ring < 7) {
        this.#stroke(this.#inks.agent, 1 - out, 0.009);
      } else if (this.#mood === "hearing" && ring > 7) {
        this.#stroke(this.#inks.caller, out, 0.009);
      } else {
        const busy = ring < 4 && (this.#mood === "thinking" || this.#mood === "waiting");
        this.#pen.setLineDash(busy ? [0.012, 0.03] : []);
        this.#stroke(busy ? this.#inks.agent : this.#inks.line, busy ? 1 : 0.6 - 0.35 * out, busy ? 0.007 : 0.0026);
        this.#pen.setLineDash([]);
      }
    }
  }

  /** @param {string} ink @param {number} alpha @param {number} width of the picture's */
  #stroke(ink, alpha, width) {
    this.#pen.strokeStyle = ink;
    this.#pen.globalAlpha = alpha;
    this.#pen.lineWidth = width;
    this.#pen.lineCap = "round";
    this.#pen.stroke();
  }
}

/** Wider apart towards the outside, as on water. @param {number} ring @returns {number} of the picture's width */
function radiusOf(ring) {
  return INNER + (OUTER - INNER) * (ring / (RINGS - 1)) ** 1.2;
}
