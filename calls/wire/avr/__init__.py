"""AVR's speech-to-speech protocol: `docs/protocols/avr.md` in code."""
