"""How a test's Chromium is started."""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--mute-audio",
)
ALLOWED = "--use-fake-ui-for-media-stream"
"""Whoever is asked for a microphone says yes."""
DEVICES = "--use-fake-device-for-media-stream=device-count=2"
"""Microphones and speakers that are none."""
CAPTURE = "--use-file-for-fake-audio-capture="
"""And a WAV file: what those microphones hear, again and again; ended by %noloop, once."""
