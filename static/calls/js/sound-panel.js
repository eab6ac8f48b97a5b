// @ts-check

/**
 * The pickers of microphone, speaker and volume.
 *
 * @typedef {object} SoundActions
 * @property {() => Promise<Devices>} devices
 * @property {(deviceId: string) => void} chooseMicrophone
 * @property {(deviceId: string) => void} chooseSpeaker
 * @property {(volume: number) => void} setVolume 0 to 1
 *
 * @typedef {object} Devices
 * @property {MediaDeviceInfo[]} microphones
 * @property {MediaDeviceInfo[]} speakers empty: this browser has no choice
 * @property {string} microphone id of the one in use
 * @property {string} speaker id of the one in use; empty: the system's choice
 */
export class SoundPanel {
  #parts;
  #actions;

  /** @param {import("./markup.js").Parts} parts @param {SoundActions} actions */
  constructor(parts, actions) {
    this.#parts = parts;
    this.#actions = actions;
    const { soundButton, microphoneSelect, speakerSelect, volume } = parts;
    soundButton.addEventListener("click", () => this.#toggle());
    parts.controls.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || parts.sound.hidden) return;
      event.preventDefault(); // It closes this, not what is around it.
      this.close();
      soundButton.focus();
    });
    microphoneSelect.addEventListener("change", () => actions.chooseMicrophone(microphoneSelect.value));
    speakerSelect.addEventListener("change", () => actions.chooseSpeaker(speakerSelect.value));
    volume.addEventListener("input", () => actions.setVolume(Number(volume.value) / 100));
  }

  /** @param {number} volume 0 to 1 @param {boolean} hasMicrophone */
  show(volume, hasMicrophone) {
    this.#parts.volume.value = String(Math.round(volume * 100));
    this.#parts.microphoneField.hidden = !hasMicrophone;
  }

  close() {
    this.#parts.sound.hidden = true;
    this.#parts.soundButton.setAttribute("aria-expanded", "false");
  }

  /** The devices may have changed. */
  async refresh() {
    const { sound, microphoneSelect, speakerSelect, speakerField, speakerHint } = this.#parts;
    if (sound.hidden) return;
    const { microphones, speakers, microphone, speaker } = await this.#actions.devices();
    fill(microphoneSelect, microphones, microphone, "Microphone");
    fill(speakerSelect, speakers, speaker, "Speaker");
    speakerField.hidden = speakers.length === 0;
    speakerHint.hidden = speakers.length > 0;
  }

  #toggle() {
    const { sound, soundButton } = this.#parts;
    sound.hidden = !sound.hidden;
    soundButton.setAttribute("aria-expanded", String(!sound.hidden));
    void this.refresh();
  }
}

/**
 * @param {HTMLSelectElement} select
 * @param {MediaDeviceInfo[]} devices
 * @param {string} chosen
 * @param {string} kind
 */
function fill(select, devices, chosen, kind) {
  const options = devices.map(({ deviceId, label }, i) => new Option(label || `${kind} ${i + 1}`, deviceId));
  select.replaceChildren(...options);
  select.value = devices.some(({ deviceId }) => deviceId === chosen) ? chosen : "default";
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}
