// @ts-check

/**
 * Tell what happens to the page around a call, until `signal`.
 *
 * @param {AbortSignal} signal
 * @param {object} tell
 * @param {() => void} tell.online the network may be back
 * @param {() => void} tell.left the page is closed, or goes elsewhere
 * @param {() => void} tell.touched a gesture: browsers let sound out in it
 * @param {() => void} tell.seen the page is in front again
 * @param {() => void} tell.devicesChanged something was plugged in or out
 */
export function watchPage(signal, { online, left, touched, seen, devicesChanged }) {
  const options = { signal };
  window.addEventListener("online", online, options);
  window.addEventListener("pagehide", left, options);
  document.addEventListener("pointerdown", touched, options);
  document.addEventListener("keydown", touched, options);
  document.addEventListener("visibilitychange", () => isSeen() && seen(), options);
  navigator.mediaDevices?.addEventListener("devicechange", devicesChanged, options);
}

/**
 * Keep a phone from going to sleep, where it lets us.
 *
 * @param {AbortSignal} signal ends it
 */
export async function keepScreenOn(signal) {
  if (!("wakeLock" in navigator) || !mayUse("screen-wake-lock")) return;
  /** @type {WakeLockSentinel | undefined} */ let lock;
  const hold = async () => {
    try {
      lock = await navigator.wakeLock.request("screen");
      if (signal.aborted) await lock.release();
    } catch {
      // A phone that saves power says no.
    }
  };
  signal.addEventListener("abort", () => void lock?.release());
  // The browser takes it back whenever the page is out of sight.
  document.addEventListener("visibilitychange", () => isSeen() && void hold(), { signal });
  await hold();
}

/** @param {string} feature @returns {boolean} the page around may not pass it on */
function mayUse(feature) {
  /** @type {any} */
  const { permissionsPolicy, featurePolicy } = /** @type {any} */ (document);
  return (permissionsPolicy ?? featurePolicy)?.allowsFeature(feature) ?? true;
}

function isSeen() {
  return document.visibilityState === "visible";
}
