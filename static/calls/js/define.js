// @ts-check
import { VoiceCall } from "./voice-call-element.js";

if (!customElements.get("voice-call")) customElements.define("voice-call", VoiceCall);
