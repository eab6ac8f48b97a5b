// @ts-check

/**
 * What the page around a frame wants of its looks. Empty: as it is.
 *
 * @typedef {object} Look
 * @property {string} [theme] `light`, `dark`; else as the system says
 * @property {string} [form] in what the frame is shown: `button`, `bubble`, `inline`
 * @property {string} [dir] `ltr` or `rtl`
 * @property {Record<string, string>} [colors] by `accent`, `on-accent`, `background`, `text`
 * @property {string} [font] family
 */

/** Text needs so much contrast to its ground. */
const READABLE = 4.5;
const STEPS = 20;

/** @typedef {[number, number, number]} Rgb */

/** @param {Look} look @param {HTMLElement} root its custom properties reach everything */
export function applyLook(look, root) {
  const { theme = "", form = "", dir = "", colors = {}, font = "" } = look;
  choose(root, "theme", ["light", "dark"].includes(theme) ? theme : "");
  choose(root, "form", form);
  root.dir = dir === "rtl" ? "rtl" : "ltr";
  for (const [name, value] of Object.entries(properties(colors, root))) {
    if (value) root.style.setProperty(name, value);
    else root.style.removeProperty(name);
  }
  if (font && CSS.supports("font-family", font)) root.style.setProperty("--text", font);
  else root.style.removeProperty("--text");
}

/** @param {Record<string, string>} colors @param {HTMLElement} root */
function properties(colors, root) {
  const { background, text, accent } = colors;
  const onAccent = colors["on-accent"];
  /** @type {Record<string, string>} */
  const found = {
    "--paper": color(background),
    "--sheet": color(background) && `color-mix(in srgb, ${background} 96%, ${color(text) || "gray"})`,
    "--ink": color(text),
    "--soft": color(text) && `color-mix(in srgb, ${text} 72%, ${color(background) || "gray"})`,
    "--agent": color(accent),
    "--agent-deep": color(accent) && `color-mix(in srgb, ${accent} 84%, black)`,
    "--agent-ink": "",
    "--on-agent": color(onAccent),
  };
  if (!color(accent)) return found;
  for (const name of ["--paper", "--ink"]) {
    if (found[name]) root.style.setProperty(name, found[name]);
    else root.style.removeProperty(name);
  }
  const style = getComputedStyle(root);
  const [paper, ink] = ["--paper", "--ink"].map((name) => rgbOf(style.getPropertyValue(name)));
  const own = rgbOf(/** @type {string} */ (accent));
  found["--agent-ink"] = cssOf(readable(own, /** @type {Rgb} */ (paper), /** @type {Rgb} */ (ink)));
  found["--on-agent"] ||= contrast(own, [255, 255, 255]) >= contrast(own, [0, 0, 0]) ? "#fff" : "#000";
  return found;
}

/** @param {HTMLElement} root @param {string} name @param {string} value */
function choose(root, name, value) {
  if (value) root.dataset[name] = value;
  else delete root.dataset[name];
}

/** @param {string | undefined} value @returns {string} empty: it is no colour */
function color(value) {
  return value && CSS.supports("color", value) ? value : "";
}

/** That colour, or as much of the ink in it as it needs. @param {Rgb} own @param {Rgb} paper @param {Rgb} ink */
function readable(own, paper, ink) {
  for (let step = 0; step < STEPS; step++) {
    const mixed = /** @type {Rgb} */ (own.map((v, i) => v + ((Number(ink[i]) - v) * step) / STEPS));
    if (contrast(mixed, paper) >= READABLE) return mixed;
  }
  return ink;
}

/** @param {Rgb} one @param {Rgb} other @returns {number} 1 to 21 */
function contrast(one, other) {
  const [low = 0, high = 0] = [light(one), light(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** @param {Rgb} rgb */
function light(rgb) {
  const [r = 0, g = 0, b = 0] = rgb
    .map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** @param {string} text of any colour that a browser knows @returns {Rgb} */
function rgbOf(text) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.fillStyle = text;
  pen.fillRect(0, 0, 1, 1);
  const [r = 0, g = 0, b = 0] = pen.getImageData(0, 0, 1, 1).data;
  return [r, g, b];
}

/** @param {Rgb} rgb */
function cssOf(rgb) {
  return `rgb(${rgb.map(Math.round).join(" ")})`;
}
