// @ts-check

/**
 * Let sound flow. It may wait for a gesture for ever, and fails when the context is closed
 * meanwhile: neither is worth an error, `state` tells.
 *
 * @param {AudioContext} context
 */
export async function wakeUp(context) {
  try {
    await context.resume();
  } catch {
    // Closed.
  }
}
