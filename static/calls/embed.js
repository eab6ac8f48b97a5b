// @ts-check
// <script src="https://calls.example/embed.js" async></script> and <voice-call agent="support">:
// a call in any page, in a frame of the call server. docs/embedding.md says how it is used.
// Classic, without dependencies, and without anything that a page's security policy could mind.
(() => {
  const TAG = "voice-call";
  const VERSION = 1;
  const FORMS = ["button", "bubble", "inline"];
  const COLORS = ["accent", "on-accent", "background", "text"];
  const REFLECTED = ["agent", "site", "form", "label", "language", "theme", "accent", "position"];
  const ALLOW = "microphone; autoplay; speaker-selection";
  const IN_CALL = ["asking", "connecting", "live", "reconnecting"];
  const ANSWER_MS = 2500;
  const LOAD_MS = 20_000;
  const TOKEN_MS = 10_000;
  const NEAR = "300px";

  const script = /** @type {HTMLScriptElement | null} */ (
    document.currentScript ?? document.querySelector('script[src*="embed.js"]')
  );
  const SERVER = new URL(".", script?.src ?? location.href);
  const FROM_DISK = location.protocol === "file:";
  const ORIGIN = FROM_DISK ? "file://" : self.origin;

  const known = /** @type {any} */ (customElements.get(TAG));
  if (known) {
    if (known.server !== SERVER.href) {
      say(`<${TAG}> is another element here already. Load embed.js of one server only, and before it nothing of that name.`);
    }
    return;
  }

  // --- what is said to the developers of the page ------------------------------------------------

  /** @param {string} line */
  function say(line) {
    console.error(`voice-call: ${line}`);
  }

  const LINES = {
    insecure: `this page is not secure, and browsers give it no microphone. Serve it by https.`,
    header: `the Permissions-Policy header of this page forbids the microphone. Send Permissions-Policy: microphone=(self "${SERVER.origin}").`,
    blocked: `the Content-Security-Policy of this page forbids the frame. Add frame-src ${SERVER.origin} to it.`,
    refused: `${SERVER.origin} did not let its call be shown here. In its admin, add “${ORIGIN}” to the origins of the site; the frame's own address says more:`,
    unreachable: `${SERVER.origin} does not answer.`,
    agent: `<${TAG}> needs the attribute agent="…", the agent's slug.`,
    nameless: `this page has no origin: it is in a sandbox without allow-same-origin. Add allow-same-origin to it.`,
    token: `a call needs a token here, and the element has none: give it token-url="…", token="…" or call setToken(…).`,
    gesture: `start() works from a click or a key only; the call was opened, and waits for the caller.`,
  };

  /** Frames that were written by hand. */
  function checkFrames() {
    for (const frame of document.querySelectorAll("iframe")) {
      if (!frame.src.startsWith(new URL("embed/", SERVER).href)) continue;
      if (!/\bmicrophone\b/.test(frame.allow)) say(`the frame lacks allow="microphone". Write <iframe allow="${ALLOW}" …>.`);
      const lacking = ["allow-scripts", "allow-same-origin"].filter(
        (word) => frame.hasAttribute("sandbox") && !frame.sandbox.contains(word),
      );
      if (lacking.length) say(`the sandbox of the frame lacks ${lacking.join(" and ")}. Write sandbox="allow-scripts allow-same-origin", or leave \`sandbox\` away.`);
    }
  }

  // --- looks ---------------------------------------------------------------------------------------

  const SHEET = new CSSStyleSheet();
  SHEET.replaceSync(`
    :host { display: inline-block; vertical-align: middle; }
    :host([form="bubble"]) { display: contents; }
    :host([form="inline"]) { display: block; height: var(--voice-call-height, 560px); min-height: 200px; }
    :host([hidden]) { display: none; }
    .root {
      all: initial; display: contents;
      --accent: var(--voice-call-accent, #0a7556);
      --on: var(--voice-call-on-accent, var(--readable, #fff));
      --ground: var(--voice-call-background, #f3f5f1);
      --ink: var(--voice-call-text, #15201b);
      --line: color-mix(in srgb, var(--ink) 16%, transparent);
      --offset: var(--voice-call-offset, 20px);
      --font: var(--voice-call-font, ui-sans-serif, -apple-system, "Segoe UI", Roboto, Ubuntu, "Noto Sans", "Liberation Sans", Arial, sans-serif);
      --below: var(--offset);
    }
    .root[data-theme="dark"] {
      --accent: var(--voice-call-accent, #43cf9f);
      --ground: var(--voice-call-background, #0c1210);
      --ink: var(--voice-call-text, #e8efeb);
    }
    .root[data-form="bubble"] { --below: calc(var(--offset) + 74px); }
    button { font: 600 16px/1.25 var(--font); cursor: pointer; -webkit-tap-highlight-color: transparent; }
    button:focus-visible { outline: 3px solid var(--ink); outline-offset: 3px; }
    svg { flex: none; width: 22px; height: 22px; fill: none; stroke: currentcolor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
    .toggle {
      position: relative; box-sizing: border-box;
      display: inline-flex; align-items: center; justify-content: center; gap: 10px;
      min-height: 48px; max-width: 100%; padding: 10px 22px 10px 18px;
      border: 1px solid transparent; border-radius: var(--voice-call-radius, 24px);
      background: var(--accent); color: var(--on); text-align: start;
    }
    .toggle:dir(rtl) { padding: 10px 18px 10px 22px; }
    .toggle:hover { background: color-mix(in srgb, var(--accent) 86%, #000); }
    .dot { display: none; flex: none; width: 10px; height: 10px; border-radius: 50%; background: #ff5f57; box-shadow: 0 0 0 2px var(--on); }
    [data-live] .dot { display: block; }
    [data-form="bubble"] .toggle {
      position: fixed; z-index: var(--voice-call-z-index, 2147483000);
      inset-block-end: var(--offset); inset-inline-end: var(--offset);
      width: 60px; height: 60px; padding: 0; border-radius: var(--voice-call-radius, 50%);
      box-shadow: 0 4px 16px rgb(0 0 0 / 24%);
    }
    [data-form="bubble"] svg { width: 28px; height: 28px; }
    [data-form="bubble"] .label { display: none; }
    [data-form="bubble"] .dot { position: absolute; inset-block-start: 3px; inset-inline-end: 3px; width: 13px; height: 13px; }
    .toggle .shut, [data-form="bubble"][data-open] .toggle .phone { display: none; }
    [data-form="bubble"][data-open] .toggle .shut { display: block; }
    [data-form="inline"] .toggle, [data-form="inline"] .close { display: none; }
    .panel {
      all: unset; box-sizing: border-box; position: fixed; z-index: var(--voice-call-z-index, 2147483000);
      inset: auto; inset-block-end: var(--below); inset-inline-end: var(--offset);
      display: none; overflow: hidden;
      width: min(var(--voice-call-width, 380px), 100vw - 16px);
      height: min(var(--voice-call-height, var(--wanted, 460px)), 100vh - var(--below) - 16px);
      height: min(var(--voice-call-height, var(--wanted, 460px)), 100dvh - var(--below) - 16px);
      border: 1px solid var(--line); border-radius: 18px;
      background: var(--ground); color: var(--ink);
      font: 15px/1.5 var(--font); box-shadow: 0 12px 48px rgb(0 0 0 / 26%);
    }
    [data-open] .panel { display: block; }
    [data-form="inline"] .panel {
      position: relative; inset: auto; display: block; width: 100%; height: 100%;
      border-radius: var(--voice-call-radius, 18px); box-shadow: none;
    }
    [data-position="left"] .panel, [data-position="left"][data-form="bubble"] .toggle { left: var(--offset); right: auto; }
    [data-position="right"] .panel, [data-position="right"][data-form="bubble"] .toggle { left: auto; right: var(--offset); }
    [data-position="start"] .panel, [data-position="start"][data-form="bubble"] .toggle { inset-inline: var(--offset) auto; }
    [data-form="inline"] .panel { left: auto; right: auto; }
    .panel:focus-visible { outline: 3px solid var(--accent); outline-offset: -3px; }
    iframe { all: unset; display: block; width: 100%; height: 100%; opacity: 0; }
    [data-ready] iframe { opacity: 1; }
    .close {
      all: unset; box-sizing: border-box; position: absolute; z-index: 1; inset-block-start: 8px; inset-inline-end: 8px;
      display: grid; place-items: center; width: 36px; height: 36px; border-radius: 50%; cursor: pointer; color: var(--ink);
    }
    .close:hover { background: color-mix(in srgb, var(--ink) 10%, transparent); }
    .close:focus-visible { outline: 3px solid var(--ink); outline-offset: -3px; }
    .message { all: unset; position: absolute; inset: 0; display: grid; place-items: center; padding: 48px 32px; text-align: center; text-wrap: balance; }
    .message:empty { display: none; }
    @media (max-width: 460px), (max-height: 560px) {
      .root { --offset: var(--voice-call-offset, 12px); }
      [data-form="bubble"][data-open] { --below: var(--offset); }
      [data-form="bubble"][data-open] .toggle { visibility: hidden; }
    }
    @media (max-width: 460px) {
      .root:not([data-form="inline"]) .panel { inset-inline: 8px; width: auto; inset-block-end: 8px; }
    }
    @media (prefers-reduced-motion: no-preference) {
      .toggle { transition: background-color 120ms, transform 120ms; }
      .toggle:active { transform: scale(0.97); }
      iframe { transition: opacity 160ms; }
      [data-ready] .panel { transition: height 200ms; }
      [data-open]:not([data-form="inline"]) .panel { animation: rise 180ms ease-out; }
      [data-live] .dot { animation: pulse 1.6s infinite; }
      @keyframes rise { from { opacity: 0; transform: translateY(10px); } }
      @keyframes pulse { 50% { opacity: 0.35; } }
    }
    @media (forced-colors: active) { .toggle, .panel { border: 2px solid ButtonText; } }
  `);

  const PATHS = {
    phone: ["M5.2 3.5h3.1l1.6 4.2-2 1.5a12.4 12.4 0 0 0 6.9 6.9l1.5-2 4.2 1.6v3.1c0 1-.8 1.7-1.8 1.7C10.7 20 4 13.3 3.5 5.3c0-1 .7-1.8 1.7-1.8z"],
    shut: ["M6 9.5l6 6 6-6"],
  };

  /** @param {"phone" | "shut"} name */
  function icon(name) {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("class", name);
    for (const d of PATHS[name]) {
      const path = document.createElementNS(space, "path");
      path.setAttribute("d", d);
      svg.append(path);
    }
    return svg;
  }

  /**
   * @template {keyof HTMLElementTagNameMap} T
   * @param {T} name
   * @param {string} part names it for style sheets, here and of the page
   * @param {(Node | string)[]} [content]
   */
  function make(name, part, content = []) {
    const element = document.createElement(name);
    element.className = part;
    element.setAttribute("part", part === "toggle" ? "button" : part);
    element.append(...content);
    return element;
  }

  /** Black or white, whichever can be read on that colour. @param {string} color */
  function readableOn(color) {
    const pen = document.createElement("canvas").getContext("2d");
    if (!pen) return "#fff";
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    const [r = 0, g = 0, b = 0] = Array.from(pen.getImageData(0, 0, 1, 1).data, (v) => (v / 255) ** 2.2);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
  }

  // --- the element -----------------------------------------------------------------------------------

  /** @type {Set<VoiceCall>} those in the page */
  const ALL = new Set();

  class VoiceCall extends HTMLElement {
    static server = SERVER.href;
    static observedAttributes = [...REFLECTED, "open", "transcript", "token", "class", "style", "dir"];

    #root = make("div", "root");
    #label = make("span", "label");
    #toggle = make("button", "toggle", [icon("phone"), icon("shut"), this.#label, make("span", "dot")]);
    #close = make("button", "close", [icon("shut")]);
    #message = make("p", "message");
    #panel = make("section", "panel", [this.#close, this.#message]);
    /** @type {HTMLIFrameElement | null} */ #frame = null;
    #ready = false;
    #stage = "idle";
    #startedAt = 0;
    /** What to do once the frame is ready. @type {Set<string>} */ #wishes = new Set();
    #focuses = false;
    /** It was opened without a mouse or a finger: what has the focus is to be seen. */ #byKey = false;
    #stale = false;
    #misses = false;
    #settings = "";
    #token = "";
    #usedToken = "";
    /** @type {number[]} questions of the frame for a token */ #asked = [];
    #timer = 0;
    /** @type {IntersectionObserver | undefined} */ #near;

    constructor() {
      super();
      const shadow = this.attachShadow({ mode: "open" });
      shadow.adoptedStyleSheets = [SHEET];
      shadow.append(this.#root);
      this.#root.append(this.#toggle, this.#panel);
      this.#toggle.type = this.#close.type = "button";
      this.#toggle.setAttribute("aria-haspopup", "dialog");
      this.#message.setAttribute("role", "status");
      this.#panel.tabIndex = -1;
      this.#toggle.addEventListener("click", ({ detail }) => {
        this.#byKey = detail === 0;
        if (this.#isOpen) this.#shut();
        else this.#show();
      });
      this.#close.addEventListener("click", () => this.#shut());
      this.#root.addEventListener("keydown", ({ key }) => key === "Escape" && this.#isOpen && this.#shut());
    }

    connectedCallback() {
      ALL.add(this);
      for (const name of [...REFLECTED, "tokenUrl", "transcript", "token", "open"]) this.#upgrade(name);
      if (ORIGIN === "null") say(LINES.nameless);
      this.#draw();
    }

    disconnectedCallback() {
      ALL.delete(this);
      this.#near?.disconnect();
      this.#near = undefined;
      this.#drop();
    }

    /** Moved by moveBefore(): the frame lives on, and with it the call. */
    connectedMoveCallback() {}

    /** @param {string} name @param {string | null} before @param {string | null} now */
    attributeChangedCallback(name, before, now) {
      if (!this.isConnected || before === now) return;
      if ((name === "agent" || name === "site") && this.#frame) this.#renew();
      this.#draw();
    }

    // For the page

    /** `idle`, `asking`, `connecting`, `live`, `reconnecting`, `ended` */
    get stage() {
      return this.#stage;
    }

    /** Show the panel. A property and an attribute too, because frameworks set what they find. */
    get open() {
      return this.#open;
    }

    set open(/** @type {any} */ open) {
      this.toggleAttribute("open", Boolean(open));
    }

    /** Hide the panel; a call goes on. */
    close() {
      this.#shut();
    }

    /** Begin a call; from a click or a key. Where the caller has to agree first, that is shown. */
    start() {
      this.#show();
      if (navigator.userActivation?.isActive === false) return say(LINES.gesture);
      this.#ask("start");
    }

    /** End the call. Idempotent. */
    hangUp() {
      this.#wishes.delete("start");
      if (this.#ready) this.#tell({ type: "hang-up" });
    }

    /** Hand over a token, for one call. @param {string} token */
    setToken(token) {
      const asked = this.#asked.shift();
      if (asked === undefined) this.#token = token;
      else this.#tell({ type: "token", id: asked, token });
    }

    get token() {
      return this.getAttribute("token") ?? "";
    }

    set token(token) {
      this.setToken(token);
    }

    get tokenUrl() {
      return this.getAttribute("token-url") ?? "";
    }

    set tokenUrl(url) {
      this.setAttribute("token-url", url);
    }

    get transcript() {
      return this.hasAttribute("transcript");
    }

    set transcript(wanted) {
      this.toggleAttribute("transcript", Boolean(wanted));
    }

    // The panel

    get #form() {
      const form = this.getAttribute("form") ?? "";
      return FORMS.includes(form) ? form : "button";
    }

    get #isOpen() {
      return this.hasAttribute("open");
    }

    #open = () => this.#show();

    #show() {
      this.#focuses = true;
      if (this.#isOpen || this.#form === "inline") this.#draw();
      else this.setAttribute("open", "");
    }

    /** Nobody opens two at once: they lie in the same place. */
    #shutOthers() {
      for (const other of ALL) if (other !== this && other.#form !== "inline") other.removeAttribute("open");
    }

    #shut() {
      const had = this.shadowRoot?.activeElement;
      this.removeAttribute("open");
      if (had && this.#form !== "inline") this.#toggle.focus();
    }

    #draw() {
      const form = this.#form;
      const inline = form === "inline";
      const label = this.getAttribute("label") || "Talk to us";
      const shown = inline || this.#isOpen;
      const { dataset } = this.#root;
      const wasShown = "open" in dataset || dataset.form === "inline";
      dataset.form = form;
      dataset.position = this.getAttribute("position") ?? "";
      this.#root.toggleAttribute("data-open", this.#isOpen && !inline);
      const live = IN_CALL.includes(this.#stage);
      this.#root.toggleAttribute("data-live", live);
      this.#label.textContent = label;
      this.#toggle.setAttribute("aria-label", live ? `${label}, call in progress` : label);
      this.#toggle.setAttribute("aria-expanded", String(shown));
      this.#close.setAttribute("aria-label", live ? "Hide the call" : "Close");
      this.#panel.setAttribute("role", inline ? "region" : "dialog");
      this.#panel.setAttribute("aria-label", label);
      if (this.#frame) this.#frame.title = label;
      this.#lift(shown && !inline);
      this.#colour();
      if (!shown) return void (this.#focuses = false);
      if (inline && !this.#focuses) this.#waitUntilNear();
      else this.#begin(wasShown);
    }

    /** @param {boolean} wasShown */
    #begin(wasShown) {
      this.#load();
      if (!wasShown && this.#form !== "inline") this.#shutOthers();
      if (!this.#focuses) return;
      this.#focuses = false;
      this.#panel.focus({ preventScroll: true });
      this.#ask("open");
    }

    /** Above everything in the page, whatever surrounds the element. @param {boolean} up */
    #lift(up) {
      if (!("popover" in this.#panel)) return;
      const shown = this.#panel.matches(":popover-open");
      if (this.#form === "inline") this.#panel.popover = null;
      else if (this.#panel.popover !== "manual") this.#panel.popover = "manual";
      if (up && !shown) this.#panel.showPopover();
      if (!up && shown && this.#panel.popover) this.#panel.hidePopover();
    }

    #colour() {
      const accent = this.getAttribute("accent") ?? "";
      const { style, dataset } = this.#root;
      if (accent && CSS.supports("color", accent)) style.setProperty("--voice-call-accent", accent);
      else style.removeProperty("--voice-call-accent");
      const theme = this.getAttribute("theme") ?? "";
      const dark = theme === "dark" || (theme !== "light" && DARK.matches);
      dataset.theme = dark ? "dark" : "light";
      style.setProperty("--readable", readableOn(getComputedStyle(this.#toggle).backgroundColor));
      this.#tellSettings();
    }

    /** Pages change their style sheets without a word to us. */
    restyle() {
      this.#colour();
    }

    // The frame

    #waitUntilNear() {
      if (this.#frame || this.#near) return;
      this.#near = new IntersectionObserver((entries) => {
        if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
        this.#near?.disconnect();
        this.#near = undefined;
        this.#load();
      }, { rootMargin: NEAR });
      this.#near.observe(this);
    }

    #load() {
      if (this.#frame || !this.isConnected) return;
      const agent = this.getAttribute("agent");
      if (!agent) return this.#missAgent();
      this.#message.textContent = "";
      const frame = document.createElement("iframe");
      const url = new URL(`embed/${encodeURIComponent(agent)}/`, SERVER);
      const site = this.getAttribute("site");
      if (site) url.searchParams.set("site", site);
      url.searchParams.set("origin", ORIGIN);
      frame.allow = ALLOW;
      frame.title = this.#label.textContent ?? "";
      frame.setAttribute("part", "frame");
      if (self.crossOriginIsolated) /** @type {any} */ (frame).credentialless = true;
      frame.src = url.href;
      frame.addEventListener("load", () => this.#expect("refused", ANSWER_MS));
      this.#frame = frame;
      this.#expect("unreachable", LOAD_MS);
      this.#panel.append(frame);
    }

    /** Scripts set it after they made the element: that is no mistake. */
    #missAgent() {
      if (this.#misses) return;
      this.#misses = true;
      setTimeout(() => this.getAttribute("agent") || this.#fail("agent"));
    }

    /** @param {"refused" | "unreachable"} code @param {number} ms */
    #expect(code, ms) {
      clearTimeout(this.#timer);
      if (!this.#ready) this.#timer = setTimeout(() => this.#fail(code), ms);
    }

    /** The page is told; so are its developers. @param {keyof typeof LINES} code */
    #fail(code) {
      clearTimeout(this.#timer);
      say(code === "refused" ? `${LINES.refused} ${this.#frame?.src}` : LINES[code]);
      this.#message.textContent = "Calls do not work on this page at the moment.";
      this.#event("call-error", { code: `frame_${code}`, message: LINES[code] });
    }

    /** The page's policy forbids the frame. */
    blocked() {
      if (!this.#frame || this.#ready) return;
      this.#drop();
      this.#fail("blocked");
    }

    #renew() {
      if (IN_CALL.includes(this.#stage)) {
        this.#stale = true;
        return;
      }
      this.#drop();
    }

    #drop() {
      clearTimeout(this.#timer);
      this.#frame?.remove();
      this.#frame = null;
      this.#ready = this.#stale = false;
      this.#settings = "";
      this.#asked = [];
      this.#wishes.clear();
      this.#root.removeAttribute("data-ready");
      if (IN_CALL.includes(this.#stage)) this.#ended({ reason: "caller_hung_up", durationMs: this.#lasted() });
      this.#stage = "idle";
    }

    // What goes between the two

    /** @param {"open" | "start"} wish */
    #ask(wish) {
      if (!this.#ready) return void this.#wishes.add(wish);
      if (wish === "open") this.#frame?.focus({ preventScroll: true });
      this.#tell({ type: wish, ...(wish === "open" && { key: this.#byKey }) });
    }

    /** @param {Record<string, unknown>} message */
    #tell(message) {
      this.#frame?.contentWindow?.postMessage({ [TAG]: VERSION, ...message }, SERVER.origin);
    }

    #tellSettings() {
      if (!this.#ready) return;
      const style = getComputedStyle(this.#root);
      const value = (/** @type {string} */ name) => style.getPropertyValue(`--voice-call-${name}`).trim();
      const look = {
        theme: this.getAttribute("theme") ?? "",
        form: this.#form,
        dir: style.direction,
        colors: Object.fromEntries(COLORS.map((name) => [name, value(name)])),
        font: value("font"),
      };
      const message = { type: "settings", look, language: this.getAttribute("language") ?? "", transcript: this.transcript };
      const written = JSON.stringify(message);
      if (written === this.#settings) return;
      this.#settings = written;
      this.#tell(message);
    }

    /** @param {MessageEvent} event @returns {boolean} whether it is of this element's frame */
    hears({ source, origin, data }) {
      if (!this.#frame || source !== this.#frame.contentWindow) return false;
      if (origin === SERVER.origin && data?.[TAG] === VERSION) this.#take(data);
      return true;
    }

    /** @param {any} message */
    #take({ type, ...message }) {
      if (type === "ready" || type === "size") this.#size(Number(message.height));
      if (type === "ready") this.#becomeReady(message.microphone);
      if (type === "state") this.#follow(String(message.stage), String(message.phase));
      const { callId, agent } = message;
      if (type === "start") this.#event("call-start", callId ? { callId, agent } : {});
      if (type === "item" && this.transcript) this.#event("call-item", message.item);
      if (type === "end") this.#ended({ reason: message.reason, durationMs: message.durationMs });
      if (type === "error") this.#event("call-error", { code: message.code, message: message.message });
      if (type === "token-needed") void this.#giveToken(Number(message.id));
      if (type === "close" && this.#form !== "inline") this.#shut();
    }

    /** @param {number} height pixels that the frame would like */
    #size(height) {
      if (height > 0) this.#root.style.setProperty("--wanted", `${Math.min(900, Math.max(260, height))}px`);
    }

    /** @param {boolean} microphone whether the frame may ask for one */
    #becomeReady(microphone) {
      clearTimeout(this.#timer);
      this.#ready = true;
      this.#message.textContent = "";
      this.#root.setAttribute("data-ready", "");
      if (!isSecureContext) say(LINES.insecure);
      else if (microphone === false) say(LINES.header);
      this.#settings = "";
      this.#tellSettings();
      this.#event("voice-call-ready", {});
      const focused = this.shadowRoot?.activeElement;
      const wishes = [...this.#wishes];
      this.#wishes.clear();
      // Whoever went elsewhere meanwhile stays there.
      for (const wish of wishes) if (wish !== "open" || focused) this.#ask(/** @type {"open" | "start"} */ (wish));
    }

    /** @param {string} stage @param {string} phase */
    #follow(stage, phase) {
      const began = IN_CALL.includes(stage) && !IN_CALL.includes(this.#stage);
      this.#stage = stage;
      if (stage === "live") this.#startedAt ||= performance.now();
      // There is one microphone, and one person: the call that begins goes on.
      if (began) for (const other of ALL) if (other !== this && IN_CALL.includes(other.stage)) other.hangUp();
      this.#draw();
      this.#event("call-state", { stage, phase });
    }

    #lasted() {
      return this.#startedAt ? Math.round(performance.now() - this.#startedAt) : 0;
    }

    /** @param {{ reason: string, durationMs: number }} detail */
    #ended(detail) {
      this.#stage = "ended";
      this.#startedAt = 0;
      this.#event("call-end", detail);
      if (!this.#stale) return;
      this.#drop();
      this.#draw();
    }

    /** @param {string} type @param {unknown} detail */
    #event(type, detail) {
      this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
    }

    /** @param {number} id of the question */
    async #giveToken(id) {
      const given = this.#token || (this.token !== this.#usedToken && this.token);
      this.#token = "";
      if (given) {
        this.#usedToken = given;
        this.#tell({ type: "token", id, token: given });
      } else if (this.tokenUrl) {
        this.#tell({ type: "token", id, token: await fetchToken(this.tokenUrl) });
      } else {
        this.#asked.push(id);
        this.#event("call-token-needed", {});
        setTimeout(() => {
          if (!this.#asked.includes(id)) return;
          this.#asked = this.#asked.filter((other) => other !== id);
          say(LINES.token);
          this.#tell({ type: "token", id, token: "" });
        }, TOKEN_MS);
      }
    }

    /** What was set before the element knew of it. @param {string} name */
    #upgrade(name) {
      if (!Object.hasOwn(this, name)) return;
      const self = /** @type {any} */ (this);
      const value = self[name];
      delete self[name];
      self[name] = value;
    }
  }

  for (const name of REFLECTED) {
    Object.defineProperty(VoiceCall.prototype, name, {
      configurable: true,
      enumerable: true,
      get() {
        return this.getAttribute(name) ?? "";
      },
      set(value) {
        if (value === null || value === undefined) this.removeAttribute(name);
        else this.setAttribute(name, value);
      },
    });
  }

  /** @param {string} url of the page's own server @returns {Promise<string>} empty: it has none */
  async function fetchToken(url) {
    try {
      const answer = await fetch(url, {
        headers: { Accept: "application/json" },
        credentials: "include",
        cache: "no-store",
      });
      const { token } = answer.ok ? await answer.json() : {};
      if (typeof token === "string" && token) return token;
      say(`token-url ${url} answered ${answer.status} without a token. It has to answer {"token": "…"}.`);
    } catch (error) {
      say(`token-url ${url} cannot be fetched: ${error}. Look at the page's connect-src, and at the address.`);
    }
    return "";
  }

  const DARK = matchMedia("(prefers-color-scheme: dark)");
  const restyle = () => ALL.forEach((element) => element.restyle());
  DARK.addEventListener("change", restyle);
  const watch = new MutationObserver(restyle);
  const styled = { attributes: true, attributeFilter: ["class", "style", "dir", "data-theme", "data-bs-theme"] };
  addEventListener("message", (event) => [...ALL].some((element) => element.hears(event)));
  document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
    const frames = ["frame-src", "child-src", "default-src"].includes(effectiveDirective);
    if (frames && blockedURI.startsWith(SERVER.origin)) ALL.forEach((element) => element.blocked());
  });
  customElements.define(TAG, VoiceCall);

  function loaded() {
    for (const element of [document.documentElement, document.body]) watch.observe(element, styled);
    checkFrames();
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", loaded);
  else loaded();
})();
