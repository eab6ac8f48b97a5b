// @ts-check

const SAID_FOR_MS = 1_500;

/**
 * Buttons that copy the text in their `data-copy`. Where a page may not write to the clipboard,
 * the text in front of the button is marked instead.
 *
 * @param {ParentNode} root
 */
export function bindCopies(root) {
  /** @type {NodeListOf<HTMLButtonElement>} */ const buttons = root.querySelectorAll("[data-copy]");
  for (const button of buttons) {
    button.hidden = false;
    button.addEventListener("click", () => void copy(button));
  }
}

/** @param {HTMLButtonElement} button */
async function copy(button) {
  const written = await write(button.dataset.copy ?? "");
  const text = button.previousElementSibling;
  if (!written && text) getSelection()?.selectAllChildren(text);
  button.textContent = written ? "Copied" : "Marked";
  setTimeout(() => (button.textContent = "Copy"), SAID_FOR_MS);
}

/** @param {string} text */
async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
