"""Changing the sample rate of a stream of 16-bit mono PCM."""

import av
from av.audio.resampler import AudioResampler

from calls.domain.audio import SAMPLE_BYTES

LOWEST_HZ = 8_000
HIGHEST_HZ = 48_000


class Resampler:
    """Resampler for one stream of 16-bit mono PCM. Feed it in order, one instance a direction.

    It low-passes, so that nothing folds back; its filter holds back 16 samples of the lower
    rate: 1 ms at 16 kHz, 2 ms at 8 kHz. Equal rates cost nothing.

    Args:
        source_hz: rate of what goes in, 8,000 to 48,000.
        target_hz: rate of what comes out, 8,000 to 48,000.

    Raises:
        ValueError: a rate outside that range.
    """

    def __init__(self, source_hz: int, target_hz: int) -> None:
        if not all(LOWEST_HZ <= hz <= HIGHEST_HZ for hz in (source_hz, target_hz)):
            raise ValueError(f"cannot resample from {source_hz} to {target_hz} Hz")
        self._source_hz = source_hz
        self._target_hz = target_hz
        self._engine: AudioResampler | None = None

    def feed(self, pcm: bytes) -> bytes:
        """Convert the next chunk.

        Args:
            pcm: n samples, signed 16-bit little-endian mono (2n bytes); n may be 0.

        Returns:
            About n * target_hz / source_hz samples of the same kind, the first chunk less what
            the filter holds back. However the stream is cut, the samples are the same.

        Raises:
            ValueError: `pcm` is an odd number of bytes: the stream has lost its alignment.
        """
        samples, odd = divmod(len(pcm), SAMPLE_BYTES)
        if odd:
            raise ValueError("PCM of 16 bits cannot be an odd number of bytes")
        if not samples or self._source_hz == self._target_hz:
            return pcm
        frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
        frame.sample_rate = self._source_hz
        frame.planes[0].update(pcm)
        return self._convert(frame)

    def flush(self) -> bytes:
        """What the filter still holds: the end of the stream. The next `feed` begins another.

        Returns:
            So many samples that the whole stream has n * target_hz / source_hz of them, to
            within one. A stream of less than 4 ms may come out shorter.
        """
        if self._engine is None:
            return b""
        rest = self._convert(None)
        self._engine = None
        return rest

    def _convert(self, frame: av.AudioFrame | None) -> bytes:
        if self._engine is None:
            self._engine = AudioResampler(format="s16", layout="mono", rate=self._target_hz)
        return b"".join(_pcm_of(converted) for converted in self._engine.resample(frame))


def _pcm_of(frame: av.AudioFrame) -> bytes:
    return bytes(memoryview(frame.planes[0])[: frame.samples * SAMPLE_BYTES])
