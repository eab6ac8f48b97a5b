// @ts-check
import { toolTitle } from "./words.js";

/** Minutes and seconds. @param {number} ms */
export function clock(ms) {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** In words, "1 minute 5 seconds". @param {number} ms */
export function duration(ms) {
  const seconds = Math.round(Math.max(0, ms) / 1000);
  const parts = [
    count(Math.floor(seconds / 60), "minute"),
    count(seconds % 60, "second"),
  ].filter(Boolean);
  return parts.join(" ") || "less than a second";
}

/** @param {number} number @param {string} unit */
function count(number, unit) {
  if (!number) return "";
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}

/**
 * A conversation as plain text, for a file.
 *
 * @param {import("./captions.js").Line[]} lines
 * @param {{ name: string, when: string, ending: string }} about
 */
export function transcriptText(lines, { name, when, ending }) {
  const said = lines.map((line) => `${speakerOf(line, name)}: ${words(line)}`);
  return [`Call with ${name}, ${when}`, "", ...said, "", ending, ""].join("\n");
}

/** @param {import("./captions.js").Line} line @param {string} name of the agent */
export function speakerOf({ who }, name) {
  if (who === "caller") return "You";
  return who === "agent" ? name : "Tool";
}

/** @param {import("./captions.js").Line} line */
function words({ who, said, unheard, tool = "", status }) {
  if (who === "tool") return `${toolTitle(tool)} (${status})`;
  const rest = unheard.trim();
  return [said.trim(), rest && `[not heard: ${rest}]`].filter(Boolean).join(" ");
}
