// @ts-check

/**
 * What keeps the microphone from a page in a frame, as far as the page around it can help.
 *
 * @typedef {"" | "allow" | "header" | "insecure"} FrameProblem empty: nothing; allow: the attribute
 *   of the frame is missing; header: Permissions-Policy of the page around it
 *
 * @returns {FrameProblem}
 */
export function frameProblem() {
  if (!window.isSecureContext) return "insecure";
  /** @type {any} */
  const { permissionsPolicy, featurePolicy } = /** @type {any} */ (document);
  const policy = permissionsPolicy ?? featurePolicy;
  if (policy?.allowsFeature("microphone") ?? true) return "";
  // Both are written into the same attribute: where the one is, the other was allowed too.
  return policy.allowsFeature("autoplay") ? "header" : "allow";
}

/** For the console of whoever made the page around. @param {FrameProblem} problem */
export function problemLine(problem) {
  const { origin } = location;
  if (problem === "allow") {
    return 'voice-call: the frame lacks allow="microphone". Write <iframe allow="microphone; autoplay; speaker-selection" …>.';
  }
  if (problem === "header") {
    return `voice-call: the Permissions-Policy header of this page forbids the microphone. Send Permissions-Policy: microphone=(self "${origin}").`;
  }
  return "voice-call: this page is not secure, and browsers give it no microphone. Serve it, and every page around it, by https.";
}
