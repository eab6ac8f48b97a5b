"""MP3 of a stream of 16-bit mono PCM."""

import av
from av.audio.codeccontext import AudioCodecContext

from calls.audio.framing import Framer
from calls.domain.audio import SAMPLE_BYTES

BIT_RATE = 64_000
"""Bits a second: of one voice at 24 kHz nobody hears the difference to more."""

FRAME_SAMPLES = {8_000: 576, 16_000: 576, 24_000: 576, 32_000: 1_152, 44_100: 1_152, 48_000: 1_152}
"""Samples of an MP3 frame, by the rates that are offered."""


class Mp3Encoder:
    """Encoder for one stream. What comes out is whole MP3 frames, without tags.

    No frame leans on the ones before it: what was sent of a stream that is broken off is sound to
    its end. The codec puts 1,105 samples of silence in front (46 ms at 24 kHz).

    Args:
        rate_hz: of what goes in, and of the MP3; one of `FRAME_SAMPLES`.

    Raises:
        ValueError: another rate.
    """

    def __init__(self, rate_hz: int) -> None:
        if rate_hz not in FRAME_SAMPLES:
            raise ValueError(f"there is no MP3 of {rate_hz} Hz here")
        self._rate_hz = rate_hz
        self._framer = Framer(FRAME_SAMPLES[rate_hz] * SAMPLE_BYTES)
        self._codec: AudioCodecContext | None = None

    def feed(self, pcm: bytes) -> bytes:
        """Encode the next samples; those of a frame that is not full wait for the next call."""
        return b"".join(self._encode(self._frame(window)) for window in self._framer.feed(pcm))

    def flush(self) -> bytes:
        """The rest: the end of the stream. The next `feed` begins another."""
        rest = self._framer.drain()
        rest = rest[: len(rest) - len(rest) % SAMPLE_BYTES]
        last = self._encode(self._frame(rest)) if rest else b""
        if self._codec is None:
            return b""
        last += self._encode(None)
        self._codec = None
        return last

    def _frame(self, pcm: bytes) -> av.AudioFrame:
        frame = av.AudioFrame(format="s16p", layout="mono", samples=len(pcm) // SAMPLE_BYTES)
        frame.sample_rate = self._rate_hz
        frame.planes[0].update(pcm)
        return frame

    def _encode(self, frame: av.AudioFrame | None) -> bytes:
        if self._codec is None:
            self._codec = self._opened()
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))

    def _opened(self) -> AudioCodecContext:
        codec = av.CodecContext.create("libmp3lame", "w")
        codec.format, codec.layout, codec.sample_rate = "s16p", "mono", self._rate_hz
        codec.bit_rate = BIT_RATE
        codec.options = {"reservoir": "0", "compression_level": "9"}
        return codec
