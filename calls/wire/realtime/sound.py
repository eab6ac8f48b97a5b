"""Sound on the wire: 24 kHz PCM, or G.711 at 8 kHz, a byte a sample."""

from collections.abc import Iterator
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from calls.audio import ulaw
from calls.audio.resample import Resampler
from calls.domain.audio import AGENT, SAMPLE_BYTES

PIECE_MS = 1_000
"""The longest `delta`: base64 of it stays far below every server's longest message."""


class SoundFormat(StrEnum):
    PCM = "audio/pcm"
    ULAW = "audio/pcmu"
    ALAW = "audio/pcma"

    @property
    def rate_hz(self) -> int:
        return 24_000 if self is SoundFormat.PCM else 8_000


class SoundIn:
    """The client's sound in one format, as PCM at the rate that the call was told."""

    def __init__(self, form: SoundFormat, rate_hz: int) -> None:
        self.form = form
        self._rest = b""
        self._resampler = Resampler(form.rate_hz, rate_hz)

    def feed(self, sound: bytes) -> tuple[bytes, int]:
        """PCM, and how many samples came in; half a sample waits for its other half."""
        if self.form is SoundFormat.PCM:
            sound = self._rest + sound
            whole = len(sound) // SAMPLE_BYTES * SAMPLE_BYTES
            sound, self._rest = sound[:whole], sound[whole:]
        else:
            sound = ulaw.decode(sound) if self.form is SoundFormat.ULAW else alaw_decode(sound)
        return self._resampler.feed(sound), len(sound) // SAMPLE_BYTES


class SoundOut:
    """The sound of one answer in the format of the client."""

    def __init__(self, form: SoundFormat) -> None:
        self._form = form
        self._resampler = Resampler(AGENT.rate_hz, form.rate_hz)

    def feed(self, pcm: bytes) -> Iterator[bytes]:
        """Pieces for one message each."""
        size = AGENT.bytes(PIECE_MS)
        for start in range(0, len(pcm), size):
            if piece := self._encoded(self._resampler.feed(pcm[start : start + size])):
                yield piece

    def flush(self) -> bytes:
        """What the filter still holds."""
        return self._encoded(self._resampler.flush())

    def _encoded(self, pcm: bytes) -> bytes:
        if self._form is SoundFormat.PCM:
            return pcm
        return ulaw.encode(pcm) if self._form is SoundFormat.ULAW else alaw_encode(pcm)


# A-law, of G.711: sign, three bits of segment, four of step; every other bit inverted.

_INVERTED = 0x55


def _decoded(codes: NDArray[np.int32]) -> NDArray[np.int16]:
    plain = codes ^ _INVERTED
    segment, step = plain >> 4 & 7, plain & 15
    low = (step << 4) + 8
    magnitude = np.where(segment == 0, low, low + 256 << np.maximum(segment - 1, 0))
    signed: NDArray[np.int32] = np.where(plain & 0x80, magnitude, -magnitude)
    return signed.astype("<i2")


def _encoded(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    # A negative sample stands one nearer to nought, so that both halves have 2^15 values.
    magnitude = np.where(samples < 0, -samples - 1, samples)
    bits = np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32)
    segment = np.maximum(bits - 7, 0)
    step = magnitude >> np.where(segment == 0, 4, segment + 3) & 15
    sign = np.where(samples < 0, 0, 0x80)
    code: NDArray[np.int32] = (sign | segment << 4 | step) ^ _INVERTED
    return code.astype(np.uint8)


_TO_PCM = _decoded(np.arange(256, dtype=np.int32))
_FROM_PCM = _encoded(np.arange(65_536, dtype=np.uint16).astype(np.int16).astype(np.int32))


def alaw_decode(alaw: bytes) -> bytes:
    """16-bit little-endian PCM at the same rate: twice as many bytes."""
    samples: NDArray[np.int16] = _TO_PCM[np.frombuffer(alaw, np.uint8)]
    return samples.tobytes()


def alaw_encode(pcm: bytes) -> bytes:
    """A-law at the same rate: half as many bytes."""
    codes: NDArray[np.uint8] = _FROM_PCM[np.frombuffer(pcm, "<u2")]
    return codes.tobytes()
