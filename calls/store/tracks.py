"""Sound onto the time line of a recording, and the time line into a file."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from calls.audio.resample import Resampler
from calls.audio.wav import HEADER_BYTES, LARGEST_DATA_BYTES, header
from calls.domain.audio import CALLER, SAMPLE_BYTES

RATE_HZ = CALLER.rate_hz
CHANNELS = 2
FRAME_BYTES = CHANNELS * SAMPLE_BYTES
LEFT, RIGHT = 0, 1

GLUE_MS = 10
"""Starts are rounded and jitter; sound that is so nearly contiguous is taken to be."""

_MOST_SAMPLES = LARGEST_DATA_BYTES // FRAME_BYTES


@dataclass(slots=True)
class Run:
    """Contiguous sound at `RATE_HZ`, from sample `start` of the recording on."""

    start: int
    pcm: bytearray = field(default_factory=bytearray)


class Track:
    """One side of the call. Takes sound in ascending order; a gap is silence, an overlap dropped.

    Args:
        rate_hz: of what it is given.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._resampler = Resampler(rate_hz, RATE_HZ)
        self._end = 0
        """Where the next sound is due, in samples as given."""
        self._at = 0
        """Where the next converted sample lies, in samples of the recording."""

    def place(self, start_ms: int, pcm: bytes) -> list[Run]:
        """Where this sound, and what the resampler held back, lies in the recording."""
        start = start_ms * self._rate_hz // 1000
        glue = GLUE_MS * self._rate_hz // 1000
        runs: list[Run] = []
        if start > self._end + glue:
            runs.append(self._advance(self._resampler.flush()))
            self._end = start
            self._at = start * RATE_HZ // self._rate_hz
        elif start < self._end - glue:
            pcm = pcm[(self._end - start) * SAMPLE_BYTES :]
        self._end += len(pcm) // SAMPLE_BYTES
        runs.append(self._advance(self._resampler.feed(pcm)))
        return [run for run in runs if run.pcm]

    def flush(self) -> list[Run]:
        """The end of the track."""
        return [self._advance(self._resampler.flush())]

    def _advance(self, pcm: bytes) -> Run:
        run = Run(self._at, bytearray(pcm))
        self._at += len(pcm) // SAMPLE_BYTES
        return run


def joined(runs: list[Run]) -> list[Run]:
    """The same sound in as few runs as possible."""
    longer: list[Run] = []
    for run in runs:
        last = longer[-1] if longer else None
        if last and last.start + len(last.pcm) // SAMPLE_BYTES == run.start:
            last.pcm += run.pcm
        else:
            longer.append(run)
    return longer


class StereoFile:
    """A WAV file that grows anywhere: either channel may be late. Playable after each checkpoint.

    Every method may raise OSError, after which only `close` makes sense.

    Args:
        path: must not exist; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self.samples = 0
        try:
            self.checkpoint()
        except OSError:
            self.close()
            path.unlink(missing_ok=True)
            raise

    @property
    def size_bytes(self) -> int:
        return HEADER_BYTES + self.samples * FRAME_BYTES

    @property
    def duration_ms(self) -> int:
        return self.samples * 1000 // RATE_HZ

    def place(self, channel: int, run: Run) -> None:
        """Put sound into one channel; the other one keeps what it has."""
        count = len(run.pcm) // SAMPLE_BYTES
        end = run.start + count
        if end > _MOST_SAMPLES:
            return
        offset = HEADER_BYTES + run.start * FRAME_BYTES
        old = os.pread(self._file, count * FRAME_BYTES, offset)
        both = np.zeros((count, CHANNELS), "<i2")
        known = np.frombuffer(old[: len(old) - len(old) % FRAME_BYTES], "<i2").reshape(-1, CHANNELS)
        both[: len(known)] = known
        both[:, channel] = np.frombuffer(run.pcm, "<i2")
        _write_all(self._file, both.tobytes(), offset)
        self.samples = max(self.samples, end)

    def pad(self, end_ms: int) -> None:
        """Be at least so long."""
        samples = min(end_ms * RATE_HZ // 1000, _MOST_SAMPLES)
        if samples > self.samples:
            self.samples = samples
            os.ftruncate(self._file, self.size_bytes)

    def checkpoint(self) -> None:
        """Have the header say how long the file is."""
        _write_all(self._file, header(RATE_HZ, CHANNELS, self.samples * FRAME_BYTES), 0)

    def sync(self) -> None:
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


def _write_all(file: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
