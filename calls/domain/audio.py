"""Sound inside the system: signed 16-bit little-endian mono PCM at one of two rates."""

from dataclasses import dataclass

SAMPLE_BYTES = 2


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """16-bit mono PCM at `rate_hz` samples a second."""

    rate_hz: int

    def ms(self, pcm: bytes) -> int:
        """Length of `pcm` in whole milliseconds, rounded down."""
        return self.ms_of(len(pcm))

    def ms_of(self, size_bytes: int) -> int:
        """Length of that many bytes in whole milliseconds, rounded down."""
        return size_bytes * 1000 // (self.rate_hz * SAMPLE_BYTES)

    def bytes(self, ms: int) -> int:
        """Size of `ms` milliseconds; always a whole number of samples."""
        return self.samples(ms) * SAMPLE_BYTES

    def samples(self, ms: int) -> int:
        return self.rate_hz * ms // 1000


CALLER = AudioFormat(16_000)
"""The caller's path: what detection and most transcribers want, and what a worklet delivers."""

AGENT = AudioFormat(24_000)
"""The agent's path: what voices speak."""
