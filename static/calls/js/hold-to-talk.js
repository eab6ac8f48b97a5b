// @ts-check

/** A press shorter than this latches: for people who cannot hold a button down. */
const TAP_MS = 300;
const INTERACTIVE = "a, button, input, select, textarea, summary, [contenteditable]";

/**
 * Makes a button one that is held: by mouse, finger, space or enter, and by the space bar anywhere
 * on the page. A tap keeps it down until the next one, as does the click of a screen reader.
 *
 * @param {HTMLButtonElement} button
 * @param {{ press(): void, release(): void, enabled(): boolean }} actions
 * @param {AbortSignal} signal ends it
 */
export function holdToTalk(button, { press, release, enabled }, signal) {
  const options = { signal };
  let since = 0;
  let latched = false;
  let byHand = false;

  function down() {
    byHand = true;
    if (latched || !enabled()) return;
    since = performance.now();
    press();
  }

  function up() {
    if (!byHand) return;
    byHand = false;
    latched = !latched && enabled() && performance.now() - since < TAP_MS;
    if (!latched) release();
  }

  function letGo() {
    byHand = latched = false;
    release();
  }

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    down();
  }, options);
  button.addEventListener("pointerup", up, options);
  button.addEventListener("pointercancel", letGo, options);
  button.addEventListener("contextmenu", (event) => event.preventDefault(), options);
  button.addEventListener("click", (event) => {
    // Neither finger nor key: a screen reader, or voice control.
    if (event.detail !== 0 || byHand) return;
    if (latched) {
      letGo();
    } else if (enabled()) {
      latched = true;
      press();
    }
  }, options);

  /** @param {KeyboardEvent} event */
  function isOurs(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const target = /** @type {Element} */ (event.target);
    if (target === button) return event.key === " " || event.key === "Enter";
    return event.key === " " && enabled() && !target.closest?.(INTERACTIVE);
  }

  document.addEventListener("keydown", (event) => {
    if (!isOurs(event)) return;
    event.preventDefault(); // Or the page scrolls, and the button clicks.
    if (!event.repeat) down();
  }, options);
  document.addEventListener("keyup", (event) => {
    if (!isOurs(event)) return;
    event.preventDefault();
    up();
  }, options);
  window.addEventListener("blur", letGo, options);
}
