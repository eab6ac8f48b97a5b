// @ts-check

/** @param {string} paths @returns {string} */
const icon = (paths) =>
  `<svg class="vc-icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">${paths}</svg>`;

const ICONS = {
  phone: icon(
    '<path d="M5.2 3.5h3.1l1.6 4.2-2 1.5a12.4 12.4 0 0 0 6.9 6.9l1.5-2 4.2 1.6v3.1c0 1-.8 1.7-1.8 1.7C10.7 20 4 13.3 3.5 5.3c0-1 .7-1.8 1.7-1.8z"/>',
  ),
  hangUp: icon(
    '<path d="M12 9.3c-3.3 0-6.3.9-8.6 2.5-.6.5-.8 1.3-.4 2l1.1 1.9c.4.6 1.1.9 1.8.6l2.6-1.1c.5-.2.9-.7.9-1.3v-1.5a12 12 0 0 1 5.2 0v1.5c0 .6.4 1.1.9 1.3l2.6 1.1c.7.3 1.4 0 1.8-.6l1.1-1.9c.4-.7.2-1.5-.4-2-2.3-1.6-5.3-2.5-8.6-2.5z"/>',
  ),
  microphone: icon(
    '<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3"/>',
  ),
  microphoneOff: icon(
    '<path d="M15 10V6a3 3 0 0 0-5.9-.8M9 9.5V11a3 3 0 0 0 4.6 2.5M5.5 11.5a6.5 6.5 0 0 0 10.3 5.3M18.5 11.5c0 .9-.2 1.7-.5 2.5M12 18v3M4 4l16 16"/>',
  ),
  radio: icon(
    '<rect x="7.5" y="8" width="9" height="13" rx="2"/><path d="M9.5 8V3M10.5 11.5h3M10.5 14h3M16.5 11h1.7v4h-1.7"/>',
  ),
  sound: icon(
    '<path d="M4 7h9M17 7h3M4 12h3M11 12h9M4 17h11M19 17h1"/><circle cx="15" cy="7" r="2"/><circle cx="9" cy="12" r="2"/><circle cx="17" cy="17" r="2"/>',
  ),
  send: icon('<path d="M12 19V5M6 11l6-6 6 6"/>'),
  download: icon('<path d="M12 4v11M7 11l5 5 5-5M5 20h14"/>'),
};

/**
 * The whole page of a call. It is constant; what changes is put in as text.
 * `data-part` names what the code fills or listens to.
 */
export const MARKUP = `
<div class="vc" data-part="root" data-stage="idle">
  <section class="vc-stage" aria-label="Call" data-part="stage" tabindex="-1">
    <header class="vc-head">
      <p class="vc-name" data-part="name" role="heading"></p>
      <p class="vc-facts" data-part="facts" hidden>
        <span class="vc-clock" data-part="clock" role="timer" aria-label="Length of the call" aria-live="off">0:00</span>
        <span class="vc-recorded" data-part="recorded" hidden><span class="vc-dot" aria-hidden="true"></span>Recorded</span>
        <span class="vc-quality" data-part="quality" data-bars="0"><span class="vc-bars" aria-hidden="true"><i></i><i></i><i></i></span><span class="vc-quality-text" data-part="qualityText"></span></span>
      </p>
    </header>

    <div class="vc-picture">
      <canvas data-part="canvas" aria-hidden="true"></canvas>
      <button type="button" class="vc-disc vc-call" data-part="callButton">${ICONS.phone}<span>Call</span></button>
      <button type="button" class="vc-disc vc-hold" data-part="holdButton" aria-pressed="false" hidden>${ICONS.microphone}<span data-part="holdText">Hold to talk</span></button>
      <span class="vc-disc vc-face" data-part="face" aria-hidden="true" hidden></span>
    </div>

    <div class="vc-situation">
      <p class="vc-phase" data-part="phase"></p>
      <p class="vc-activity" data-part="activity"></p>
      <p class="vc-trouble" data-part="trouble"></p>
    </div>

    <div class="vc-problem" data-part="problem" role="alert" hidden>
      <p class="vc-problem-title" data-part="problemTitle"></p>
      <p data-part="problemText"></p>
      <p class="vc-todo" data-part="problemTodo"></p>
      <div class="vc-choices">
        <button type="button" class="vc-button vc-main" data-part="retryButton">Try again</button>
        <button type="button" class="vc-button" data-part="typeInstead">Type instead</button>
      </div>
    </div>

    <div class="vc-invitation" data-part="invitation">
      <p class="vc-consent" data-part="consent" tabindex="-1" hidden></p>
      <button type="button" class="vc-button vc-main" data-part="agreeButton" hidden>${ICONS.phone}<span data-part="agreeText"></span></button>
      <button type="button" class="vc-link" data-part="typeOnly">No microphone? Type instead</button>
    </div>

    <div class="vc-deck" data-part="controls" hidden>
    <div class="vc-controls" role="group" aria-label="Controls">
      <button type="button" class="vc-control" data-part="muteButton" aria-pressed="false"><span class="vc-knob"><span class="vc-when-off">${ICONS.microphone}</span><span class="vc-when-on">${ICONS.microphoneOff}</span></span><span data-part="muteText">Mute</span></button>
      <button type="button" class="vc-control" data-part="turnsButton" aria-pressed="false"><span class="vc-knob">${ICONS.radio}</span><span>Push to talk</span></button>
      <button type="button" class="vc-control" data-part="soundButton" aria-expanded="false"><span class="vc-knob">${ICONS.sound}</span><span>Sound</span></button>
      <button type="button" class="vc-control vc-danger" data-part="hangUpButton"><span class="vc-knob">${ICONS.hangUp}</span><span>Hang up</span></button>
    </div>

    <div class="vc-sound" data-part="sound" role="group" aria-label="Sound" hidden>
      <label data-part="microphoneField"><span>Microphone</span><select data-part="microphoneSelect"></select></label>
      <label data-part="speakerField"><span>Speaker</span><select data-part="speakerSelect"></select></label>
      <p class="vc-hint" data-part="speakerHint">This browser plays through the speaker that your system is set to.</p>
      <label><span>Volume</span><input type="range" min="0" max="100" step="5" data-part="volume"></label>
    </div>
    </div>

    <div class="vc-after" data-part="after" hidden>
      <h2 class="vc-after-title" data-part="afterTitle" tabindex="-1"></h2>
      <p class="vc-after-text" data-part="afterText"></p>
      <figure class="vc-trace" data-part="trace" aria-hidden="true"><svg preserveAspectRatio="none"></svg><figcaption><span>0:00</span><span data-part="traceLength"></span></figcaption></figure>
      <div class="vc-choices">
        <button type="button" class="vc-button vc-main" data-part="againButton">${ICONS.phone}Call again</button>
        <button type="button" class="vc-button" data-part="downloadButton">${ICONS.download}Download transcript</button>
      </div>
    </div>

    <p class="vc-notice" data-part="notice" hidden></p>
  </section>

  <section class="vc-captions" data-part="captions" aria-label="Captions" hidden>
    <div class="vc-scroll" data-part="scroll" tabindex="0" role="group" aria-label="What is said">
      <p class="vc-empty" data-part="empty">What is said appears here.</p>
      <div role="log" aria-live="polite" aria-relevant="additions" aria-label="What was said" data-part="log"></div>
      <div aria-live="off" data-part="living"></div>
    </div>
    <button type="button" class="vc-button vc-latest" data-part="latestButton" hidden>Latest</button>
    <form class="vc-composer" data-part="composer">
      <label><span class="vc-unseen" data-part="typedLabel">Type a message</span><input data-part="typed" type="text" maxlength="2000" autocomplete="off" enterkeyhint="send" placeholder="Type instead of speaking"></label>
      <button type="submit" class="vc-send" data-part="sendButton" aria-label="Send">${ICONS.send}</button>
    </form>
    <details class="vc-curious" data-part="curious">
      <summary><span>For the curious</span><span class="vc-latency" data-part="latency"></span></summary>
      <div class="vc-figures">
        <div class="vc-bar" data-part="bar" aria-hidden="true"></div>
        <table><caption class="vc-unseen">How the silence before the last answer came about</caption><tbody data-part="stages"></tbody></table>
        <dl data-part="figures"></dl>
        <p class="vc-made" data-part="made"></p>
      </div>
    </details>
  </section>

  <p class="vc-unseen" role="status" data-part="announcer"></p>
</div>
`;

/**
 * Fill an element with the page of a call.
 *
 * @param {HTMLElement} host
 * @returns {Parts}
 */
export function build(host) {
  host.innerHTML = MARKUP;
  /** @type {Record<string, Element>} */
  const parts = {};
  for (const part of host.querySelectorAll("[data-part]")) {
    parts[/** @type {string} */ (part.getAttribute("data-part"))] = part;
  }
  return /** @type {any} */ (parts);
}

/**
 * @typedef {Record<"root" | "stage" | "name" | "facts" | "clock" | "recorded" | "quality"
 *   | "qualityText" | "holdText" | "face" | "phase" | "activity" | "problem" | "problemTitle"
 *   | "problemText" | "problemTodo" | "trouble" | "invitation" | "notice" | "consent" | "controls"
 *   | "muteText" | "sound" | "microphoneField" | "speakerField" | "speakerHint" | "after"
 *   | "afterTitle" | "afterText" | "trace" | "traceLength" | "made" | "captions" | "scroll" | "empty" | "log"
 *   | "living" | "agreeText" | "latency" | "bar" | "stages" | "figures" | "announcer" | "typedLabel", HTMLElement>
 *   & Record<"callButton" | "holdButton" | "retryButton" | "typeInstead" | "typeOnly" | "muteButton"
 *   | "turnsButton" | "soundButton" | "agreeButton" | "hangUpButton" | "againButton" | "downloadButton"
 *   | "latestButton" | "sendButton", HTMLButtonElement>
 *   & Record<"microphoneSelect" | "speakerSelect", HTMLSelectElement>
 *   & Record<"volume" | "typed", HTMLInputElement>
 *   & { canvas: HTMLCanvasElement, composer: HTMLFormElement, curious: HTMLDetailsElement }} Parts
 */
