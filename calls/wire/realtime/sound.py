"""Sound on the wire: 24 kHz PCM, or G.711 at 8 kHz, a byte a sample."""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from calls.audio import alaw, ulaw
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


_DECODE: Mapping[SoundFormat, Callable[[bytes], bytes]] = {
    SoundFormat.ULAW: ulaw.decode,
    SoundFormat.ALAW: alaw.decode,
}
_ENCODE: Mapping[SoundFormat, Callable[[bytes], bytes]] = {
    SoundFormat.ULAW: ulaw.encode,
    SoundFormat.ALAW: alaw.encode,
}


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
            sound = _DECODE[self.form](sound)
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
        return pcm if self._form is SoundFormat.PCM else _ENCODE[self._form](pcm)
