// @ts-check

/**
 * Why there is no microphone, as far as the caller can do something about it.
 *
 * @typedef {"insecure" | "unsupported" | "policy" | "dismissed" | "denied" | "system" | "missing"
 *   | "busy" | "failed"} MicrophoneProblem
 *
 * @typedef {object} Surroundings
 * @property {boolean} secure the page came over https, or from this machine
 * @property {boolean} supported the browser has microphones and audio worklets at all
 * @property {boolean} allowed the page, and the site around it, may ask for a microphone
 * @property {string} permission granted, denied, prompt; empty: the browser does not tell
 */

/** @type {Record<string, MicrophoneProblem>} by the name of the error */
const BY_NAME = {
  NotFoundError: "missing",
  DevicesNotFoundError: "missing",
  OverconstrainedError: "missing",
  NotReadableError: "busy",
  TrackStartError: "busy",
  AbortError: "busy",
};

/**
 * @param {{ name?: string, message?: string }} error what getUserMedia threw
 * @param {Surroundings} surroundings
 * @returns {MicrophoneProblem}
 */
export function problemOf(error, surroundings) {
  const { name = "", message = "" } = error;
  if (!surroundings.secure) return "insecure";
  if (!surroundings.supported) return "unsupported";
  if (!surroundings.allowed) return "policy";
  if (name === "NotAllowedError" || name === "SecurityError") {
    if (/system/i.test(message)) return "system";
    return surroundings.permission === "prompt" || /dismiss/i.test(message) ? "dismissed" : "denied";
  }
  return BY_NAME[name] ?? "failed";
}

/** @returns {Promise<Surroundings>} */
export async function surroundings() {
  return {
    secure: window.isSecureContext,
    supported: "mediaDevices" in navigator && "AudioContext" in window,
    allowed: allowed(),
    permission: await permission(),
  };
}

function allowed() {
  /** @type {any} */
  const { permissionsPolicy, featurePolicy } = /** @type {any} */ (document);
  return (permissionsPolicy ?? featurePolicy)?.allowsFeature("microphone") ?? true;
}

async function permission() {
  try {
    const name = /** @type {PermissionName} */ ("microphone");
    return (await navigator.permissions.query({ name })).state;
  } catch {
    return ""; // Firefox before 131 does not know this name.
  }
}
