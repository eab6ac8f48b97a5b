"""Sound as a network delivers it: pieces of any size in, whole samples of the agent's path out."""

import re
import struct
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from calls.audio.resample import Resampler
from calls.audio.wav import HEADER_BYTES, WavHeader, header, parse
from calls.domain.audio import AGENT, SAMPLE_BYTES

SNIFF_BYTES = 12
"""So much of the beginning tells what it is."""

_CHUNK = struct.Struct("<4sI")
_RIFF_BYTES = 12
_LONGEST_FORMAT_BYTES = 1_024
_SHORTEST_UNKNOWN_BYTES = 0x7FFF_0000
"""Data said to be as long as this, or of no length, is of a length that the writer did not know."""

_LONGEST_TRAILER_BYTES = 65_536
_TRAILER = re.compile(b"LIST|id3 |ID3 |bext|JUNK|fact")
_COMPRESSED = (b"ID3", b"OggS", b"fLaC")


class _Decoder(Protocol):
    @property
    def rate_hz(self) -> int: ...

    @property
    def complete(self) -> bool: ...

    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class PcmStream:
    """Reads 16-bit PCM, raw or as a WAV file, and gives it as `audio.AGENT`.

    What begins as a WAV file is read as one, whatever was expected; its own header counts then.
    However the stream is cut into pieces, the samples are the same.

    Args:
        rate_hz: rate of raw mono PCM, 8,000 to 48,000; None: only a WAV file will do.

    Raises:
        ValueError: a rate outside that range.
    """

    def __init__(self, rate_hz: int | None = None) -> None:
        self._rate_hz = rate_hz
        self._resampler = None if rate_hz is None else Resampler(rate_hz, AGENT.rate_hz)
        self._beginning = b""
        self._decoder: _Decoder | None = None

    @property
    def complete(self) -> bool:
        """Whether everything came that a WAV file announced; raw PCM announces nothing."""
        if self._decoder is None:
            return self._rate_hz is not None
        return self._decoder.complete

    def feed(self, data: bytes) -> bytes:
        """Take the next piece, of any size; give the samples that it completes.

        Raises:
            ValueError: this is not 16-bit PCM with one or two channels; in a plain sentence.
        """
        if self._decoder is None:
            self._beginning += data
            if len(self._beginning) < SNIFF_BYTES:
                return b""
            data, self._beginning = self._beginning, b""
            self._decoder = _decoder_of(data, self._rate_hz)
        return self._resampled(self._decoder, self._decoder.feed(data))

    def end(self) -> bytes:
        """The stream is over: what was held back. Part of a sample is left out.

        Raises:
            ValueError: see `feed`.
        """
        pcm = b""
        if self._decoder is None and self._rate_hz is not None:
            self._decoder = _Raw(self._rate_hz)
            pcm = self._decoder.feed(self._beginning)
        if self._decoder is None:
            return b""
        pcm = self._resampled(self._decoder, pcm + self._decoder.end())
        return pcm + (self._resampler.flush() if self._resampler else b"")

    def _resampled(self, decoder: _Decoder, pcm: bytes) -> bytes:
        if not pcm:
            return b""
        if self._resampler is None or decoder.rate_hz != self._rate_hz:
            self._rate_hz = decoder.rate_hz
            self._resampler = Resampler(decoder.rate_hz, AGENT.rate_hz)
        return self._resampler.feed(pcm)


def wav_bytes(pcm: bytes, rate_hz: int) -> bytes:
    """A whole WAV file of 16-bit mono PCM."""
    return header(rate_hz, 1, len(pcm)) + pcm


def _decoder_of(beginning: bytes, rate_hz: int | None) -> _Decoder:
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WAVE":
        return _Wav()
    if rate_hz is None or beginning.startswith(_COMPRESSED):
        raise ValueError("The sound is neither raw PCM nor a WAV file.")
    return _Raw(rate_hz)


class _Raw:
    """Mono samples and nothing else; half a sample waits for its other half."""

    complete = True

    def __init__(self, rate_hz: int, channels: int = 1) -> None:
        self.rate_hz = rate_hz
        self._channels = channels
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data
        whole = len(data) - len(data) % (SAMPLE_BYTES * self._channels)
        self._rest = data[whole:]
        return data[:whole] if self._channels == 1 else _mono(data[:whole])

    def end(self) -> bytes:
        return b""


def _mono(pcm: bytes) -> bytes:
    pairs = np.frombuffer(pcm, "<i2").reshape(-1, 2).astype(np.int32)
    halves: NDArray[np.int16] = (pairs.sum(axis=1) // 2).astype("<i2")
    return halves.tobytes()


class _Wav:
    """A WAV file: finds the format and the samples, and leaves everything else out."""

    def __init__(self) -> None:
        self.rate_hz = 0
        self._waiting = b""
        self._skip_bytes = _RIFF_BYTES
        self._format = b""
        self._samples: _Raw | None = None
        self._left_bytes: int | None = None
        self._trailer = _Trailer()

    @property
    def complete(self) -> bool:
        return self._samples is not None and not self._left_bytes

    def feed(self, data: bytes) -> bytes:
        if self._samples is None:
            data = self._after_head(data)
        if self._samples is None:
            return b""
        if self._left_bytes is None:
            return self._samples.feed(self._trailer.feed(data))
        data = data[: self._left_bytes]
        self._left_bytes -= len(data)
        return self._samples.feed(data)

    def end(self) -> bytes:
        return self._samples.feed(self._trailer.end()) if self._samples else b""

    def _after_head(self, data: bytes) -> bytes:
        """Take chunks up to the samples; gives what of those has come already."""
        self._waiting += data
        while self._chunk():
            pass
        if self._samples is not None:
            data, self._waiting = self._waiting, b""
        return data

    def _chunk(self) -> bool:
        """Take a chunk, or what there is of it; whether to go on."""
        skipped = min(self._skip_bytes, len(self._waiting))
        self._waiting = self._waiting[skipped:]
        self._skip_bytes -= skipped
        if len(self._waiting) < _CHUNK.size:
            return False
        kind, size_bytes = _CHUNK.unpack_from(self._waiting)
        if kind == b"data":
            self._begin(size_bytes)
            return False
        if kind == b"fmt " and not self._take_format(size_bytes):
            return False
        self._skip_bytes = _CHUNK.size + size_bytes + size_bytes % 2
        return True

    def _take_format(self, size_bytes: int) -> bool:
        if size_bytes > _LONGEST_FORMAT_BYTES:
            raise ValueError("The WAV file has a format that nobody knows.")
        self._format = self._waiting[: _CHUNK.size + size_bytes]
        return len(self._format) == _CHUNK.size + size_bytes

    def _begin(self, size_bytes: int) -> None:
        found = self._header()
        self._waiting = self._waiting[_CHUNK.size :]
        self.rate_hz = found.rate_hz
        self._samples = _Raw(found.rate_hz, found.channels)
        known = 0 < size_bytes < _SHORTEST_UNKNOWN_BYTES
        self._left_bytes = size_bytes if known else None

    def _header(self) -> WavHeader:
        """What the chunks that count say, without those between them."""
        head = header(AGENT.rate_hz, 1, None)[:_RIFF_BYTES] + self._format + self._waiting
        if not self._format:
            raise ValueError("The WAV file has samples, but no format.")
        try:
            return parse(head.ljust(HEADER_BYTES, b"\0"))
        except ValueError:
            raise ValueError("The WAV file is not 16-bit PCM with one or two channels.") from None


class _Trailer:
    """Keeps chunks after samples of unknown length from being played.

    Something that looks like such a chunk waits until the stream is over, or goes on behind it with
    what is none: then it was sound.
    """

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Samples and perhaps a chunk; gives what is certainly samples."""
        self._held += data
        sure = 0
        while True:
            at = self._found(sure)
            if at is None:
                # The beginning of a name may be at the very end.
                sure = max(sure, (len(self._held) - 3) // 2 * 2)
                break
            sure = at
            if _is_trailer(self._held[at:]):
                break
            sure += SAMPLE_BYTES
        samples, self._held = self._held[:sure], self._held[sure:]
        return samples

    def end(self) -> bytes:
        """What was held back and is no chunk after all."""
        held, self._held = self._held, b""
        return b"" if _TRAILER.match(held) else held

    def _found(self, begin: int) -> int | None:
        """Where something between two samples has a chunk's name."""
        for match in _TRAILER.finditer(self._held, begin):
            if match.start() % SAMPLE_BYTES == 0:
                return match.start()
        return None


def _is_trailer(held: bytes) -> bool:
    """Whether everything from here on may be chunks, as far as it came."""
    while len(held) >= _CHUNK.size:
        kind, size_bytes = _CHUNK.unpack_from(held)
        if not _TRAILER.match(kind) or size_bytes > _LONGEST_TRAILER_BYTES:
            return False
        held = held[_CHUNK.size + size_bytes + size_bytes % 2 :]
    return True
