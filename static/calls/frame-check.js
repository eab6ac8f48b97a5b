// @ts-check
// In the frame, before the modules: says what keeps them from running at all.
(() => {
  if (self === parent || self.origin !== "null") return;
  const fix = 'Write sandbox="allow-scripts allow-same-origin", or leave `sandbox` away.';
  console.error(`voice-call: the sandbox of this frame lacks allow-same-origin. ${fix}`);
  document.addEventListener("DOMContentLoaded", () => {
    const text = document.createElement("p");
    text.className = "calls-noscript";
    text.textContent = "Calls do not work in this page at the moment.";
    document.body.replaceChildren(text);
  });
})();
