// @ts-check
// The review page: player, waveform and transcript, kept together by the position in the call.
import { clock } from "./clock.js";
import { bindCopies } from "./copy.js";
import { Player } from "./player.js";
import { Transcript } from "./transcript.js";
import { Waveform } from "./waveform.js";

const STEP_MS = 5_000;

/**
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @returns {T}
 */
function find(root, selector) {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`The page has no ${selector}`);
  return /** @type {T} */ (found);
}

/** @param {HTMLElement} review */
function start(review) {
  /** @type {HTMLElement | null} */ const deck = review.querySelector(".deck");
  if (!deck) return;
  /** @type {HTMLAudioElement} */ const audio = find(review, ".player audio");
  const lengthMs = Number(review.dataset.lengthMs);
  const player = new Player(audio, lengthMs);
  const transcript = new Transcript(review);
  const waveform = new Waveform(find(deck, "canvas"), lengthMs);
  audio.hidden = true;
  deck.hidden = false;
  review.classList.add("playable");

  /** @type {HTMLElement} */ const slider = find(deck, ".wave");
  showPosition(player, transcript, waveform, deck, slider, lengthMs);
  bindControls(player, transcript, deck);
  bindPointer(player, waveform, slider);
  bindWords(player, review);
  bindKeys(player, transcript, slider);
  void load(deck, waveform, transcript, review);
}

/**
 * @param {Player} player
 * @param {Transcript} transcript
 * @param {Waveform} waveform
 * @param {HTMLElement} deck
 * @param {HTMLElement} slider
 * @param {number} lengthMs
 */
function showPosition(player, transcript, waveform, deck, slider, lengthMs) {
  /** @type {HTMLElement} */ const time = find(deck, ".now-at");
  /** @type {HTMLButtonElement} */ const play = find(deck, ".play");
  let scheduled = false;
  const show = () => {
    scheduled = false;
    const ms = player.positionMs;
    time.textContent = clock(ms);
    slider.setAttribute("aria-valuenow", String(ms));
    slider.setAttribute("aria-valuetext", `${clock(ms)} of ${clock(lengthMs)}`);
    play.toggleAttribute("data-playing", player.playing);
    play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
    transcript.show(ms, player.playing);
    waveform.positionMs = ms;
    if (player.failed) note(slider, "The recording cannot be played.");
    if (player.playing) schedule();
  };
  const schedule = () => {
    if (!scheduled) requestAnimationFrame(show);
    scheduled = true;
  };
  player.addEventListener("change", schedule);
  schedule();
}

/**
 * @param {Player} player
 * @param {Transcript} transcript
 * @param {HTMLElement} deck
 */
function bindControls(player, transcript, deck) {
  find(deck, ".play").addEventListener("click", () => void player.toggle());
  /** @type {HTMLSelectElement} */ const speed = find(deck, ".speed select");
  speed.addEventListener("change", () => (player.speed = Number(speed.value)));
  /** @type {HTMLInputElement} */ const follow = find(deck, ".follow input");
  follow.addEventListener("change", () => (transcript.follow = follow.checked));
  /** @type {NodeListOf<HTMLButtonElement>} */ const tracks = deck.querySelectorAll(".track");
  for (const button of tracks) {
    button.addEventListener("click", () => {
      const heard = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(heard));
      player.hear(Number(button.dataset.track), heard);
    });
  }
}

/**
 * @param {Player} player
 * @param {Waveform} waveform
 * @param {HTMLElement} slider
 */
function bindPointer(player, waveform, slider) {
  slider.addEventListener("pointerdown", (event) => {
    slider.setPointerCapture(event.pointerId);
    player.seek(waveform.msAt(event.clientX));
  });
  slider.addEventListener("pointermove", (event) => {
    if (slider.hasPointerCapture(event.pointerId)) player.seek(waveform.msAt(event.clientX));
  });
}

/**
 * @param {Player} player
 * @param {HTMLElement} review
 */
function bindWords(player, review) {
  /** @type {NodeListOf<HTMLButtonElement>} */ const places = review.querySelectorAll(".at");
  for (const place of places) place.disabled = false;
  review.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    /** @type {HTMLElement | null} */ const place = target.closest("[data-ms]");
    if (!place || getSelection()?.type === "Range") return;
    player.seek(Number(place.dataset.ms));
    void player.play();
  });
}

/**
 * Space and the arrows to the sides work wherever nothing else wants them; the other keys, which
 * scroll the page, on the waveform only.
 *
 * @param {Player} player
 * @param {Transcript} transcript
 * @param {HTMLElement} slider
 */
function bindKeys(player, transcript, slider) {
  document.addEventListener("keydown", (event) => {
    const target = /** @type {Element} */ (event.target);
    const wanted = "input, select, textarea, button, a, summary, pre, [contenteditable]";
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest(wanted)) return;
    const toMs = destination(event.key, player.positionMs, transcript, target === slider);
    if (event.key === " ") void player.toggle();
    else if (toMs !== undefined) player.seek(toMs);
    else return;
    event.preventDefault();
  });
}

/**
 * Where a key leads.
 *
 * @param {string} key
 * @param {number} ms where the player is
 * @param {Transcript} transcript
 * @param {boolean} focused whether the waveform has the focus
 */
function destination(key, ms, transcript, focused) {
  if (key === "ArrowLeft") return ms - STEP_MS;
  if (key === "ArrowRight") return ms + STEP_MS;
  if (!focused) return undefined;
  if (key === "ArrowUp") return transcript.neighbour(ms, -1);
  if (key === "ArrowDown") return transcript.neighbour(ms, 1);
  if (key === "Home") return 0;
  return key === "End" ? Number.MAX_SAFE_INTEGER : undefined;
}

/**
 * @param {HTMLElement} deck
 * @param {Waveform} waveform
 * @param {Transcript} transcript
 * @param {HTMLElement} review
 */
async function load(deck, waveform, transcript, review) {
  /** @type {NodeListOf<HTMLElement>} */ const pauses = review.querySelectorAll(".pause");
  const waits = [...pauses].map(({ dataset }) => ({
    fromMs: Number(dataset.from),
    untilMs: Number(dataset.until),
  }));
  const response = await fetch(deck.dataset.peaks ?? "").catch(() => undefined);
  if (!response?.ok) {
    note(find(deck, ".wave"), "The recording is not there.");
    return;
  }
  waveform.show(new Int8Array(await response.arrayBuffer()), waits, transcript.cuts);
}

/**
 * @param {HTMLElement} slider
 * @param {string} text
 */
function note(slider, text) {
  /** @type {HTMLElement} */ const line = find(slider, ".wave-note");
  line.textContent = text;
  line.hidden = false;
}

const review = document.querySelector(".review");
if (review instanceof HTMLElement) {
  bindCopies(review);
  start(review);
}
