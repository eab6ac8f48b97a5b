"""Sound as an agent's code gives it: raw PCM or a WAV file, in chunks of any size."""

import numpy as np

from calls.audio.resample import Resampler
from calls.audio.wav import parse
from calls.domain.audio import AGENT, SAMPLE_BYTES

LONGEST_HEADER_BYTES = 65_536
_MAGIC_BYTES = 12

_COMPRESSED = {
    b"ID3": "MP3",
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"\x1aE\xdf\xa3": "WebM",
}


class SoundReader:
    """Reads one sound; gives `audio.AGENT`. Feed it in order, then `flush`."""

    def __init__(self) -> None:
        self._head = b""
        self._begun = False
        self._channels = 1
        self._left_bytes: int | None = None
        self._rest = b""
        self._resampler = Resampler(AGENT.rate_hz, AGENT.rate_hz)

    def feed(self, chunk: bytes) -> bytes:
        """Take the next chunk; the sound that can be given now, of whole samples.

        Raises:
            ValueError: compressed sound, or a WAV file of a kind that is not known.
        """
        if self._begun:
            return self._take(chunk)
        self._head += chunk
        return self._begin(last=False)

    def flush(self) -> bytes:
        """The end of the sound. An incomplete last sample is dropped.

        Raises:
            ValueError: as for `feed`, or a WAV file that ends within its header.
        """
        begun = b"" if self._begun else self._begin(last=True)
        return begun + self._resampler.flush()

    def _begin(self, *, last: bool) -> bytes:
        """Find out what it is, once enough of it is there."""
        head = self._head
        for magic, name in _COMPRESSED.items():
            if head.startswith(magic):
                raise ValueError(f"{name} is not PCM")
        if not last and len(head) < _MAGIC_BYTES:
            return b""
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            return self._begin_wav(last=last)
        return self._go(0)

    def _begin_wav(self, *, last: bool) -> bytes:
        try:
            found = parse(self._head)
        except ValueError:
            if last or len(self._head) > LONGEST_HEADER_BYTES:
                raise
            return b""
        self._channels = found.channels
        self._left_bytes = found.data_bytes or None  # some writers leave 0 where they do not know
        self._resampler = Resampler(found.rate_hz, AGENT.rate_hz)
        return self._go(found.data_offset_bytes)

    def _go(self, offset_bytes: int) -> bytes:
        self._begun = True
        chunk, self._head = self._head[offset_bytes:], b""
        return self._take(chunk)

    def _take(self, chunk: bytes) -> bytes:
        if self._left_bytes is not None:
            chunk = chunk[: self._left_bytes]  # what follows the samples is no sound
            self._left_bytes -= len(chunk)
        data = self._rest + chunk
        frame_bytes = self._channels * SAMPLE_BYTES
        whole_bytes = len(data) - len(data) % frame_bytes
        self._rest = data[whole_bytes:]
        return self._resampler.feed(self._mono(data[:whole_bytes]))

    def _mono(self, data: bytes) -> bytes:
        if self._channels == 1:
            return data
        both = np.frombuffer(data, "<i2").reshape(-1, self._channels)
        mixed: bytes = both.mean(axis=1).astype("<i2").tobytes()
        return mixed
