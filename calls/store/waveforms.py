"""What a recording's waveform is drawn from, and a file that is read while it is written."""

from pathlib import Path

import numpy as np

from calls.audio.wav import HEADER_BYTES, header
from calls.models import Recording, RecordingState
from calls.models.recordings import PEAKS_SUFFIX
from calls.store.tracks import CHANNELS, FRAME_BYTES, RATE_HZ

PEAK_MS = 20
_PEAK_SAMPLES = RATE_HZ * PEAK_MS // 1000
_READ_PEAKS = 3_000
"""One minute at a time."""


def recording_samples_bytes(file: Path) -> int:
    """Size of the samples in the file, whole ones only, whatever its header says.

    Raises:
        OSError: there is no such file.
    """
    size_bytes = max(0, file.stat().st_size - HEADER_BYTES)
    return size_bytes - size_bytes % FRAME_BYTES


def recording_ms(file: Path) -> int:
    """Length of the sound in the file; OSError as above."""
    return recording_samples_bytes(file) // FRAME_BYTES * 1000 // RATE_HZ


def recording_header(samples_bytes: int) -> bytes:
    """The header for so many bytes of samples."""
    return header(RATE_HZ, CHANNELS, samples_bytes)


def recording_peaks(recording: Recording) -> bytes:
    """The lowest and the highest level of each `PEAK_MS`, for drawing.

    Returns:
        For each piece in order four signed bytes: caller low, caller high, agent low, agent high;
        127 is full scale.

    Raises:
        OSError: the recording is not there.
    """
    file = recording.file
    kept = file.with_name(file.name + PEAKS_SUFFIX)
    if recording.state == RecordingState.WRITING:
        return _peaks(file)
    try:
        return kept.read_bytes()
    except FileNotFoundError:
        peaks = _peaks(file)
    fresh = kept.with_suffix(".new")
    fresh.write_bytes(peaks)
    fresh.replace(kept)
    return peaks


def _peaks(file: Path) -> bytes:
    left_bytes = recording_samples_bytes(file)
    pieces: list[bytes] = []
    with file.open("rb") as opened:
        opened.seek(HEADER_BYTES)
        while left_bytes:
            data = opened.read(min(left_bytes, _READ_PEAKS * _PEAK_SAMPLES * FRAME_BYTES))
            if len(data) < FRAME_BYTES:
                break
            left_bytes -= len(data)
            pieces.append(_peaks_of(np.frombuffer(data, "<i2").reshape(-1, CHANNELS)))
    return b"".join(pieces)


def _peaks_of(samples: "np.ndarray[tuple[int, int], np.dtype[np.int16]]") -> bytes:
    missing = -len(samples) % _PEAK_SAMPLES
    whole = np.pad(samples, ((0, missing), (0, 0))).reshape(-1, _PEAK_SAMPLES, CHANNELS)
    # Halves of a bit are lost on purpose: a byte is what a screen can show.
    extremes = np.stack([whole.min(axis=1), whole.max(axis=1)], axis=2) // 256
    return extremes.astype(np.int8).tobytes()
