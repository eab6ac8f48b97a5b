"""How loud a piece of 16-bit mono PCM is."""

import math

import numpy as np
from numpy.typing import NDArray

FULL_SCALE = 32_768.0

SILENT_DBFS = -100.0
"""What digital silence is said to have; one step of the last bit is about -90."""

_FULL_POWER = FULL_SCALE * FULL_SCALE


def rms(pcm: bytes) -> float:
    """Root mean square, 0 to 1 (a full-scale square wave); 0 for no samples."""
    if not pcm:
        return 0.0
    samples = _samples(pcm)
    return math.sqrt(float(samples.dot(samples)) / len(samples)) / FULL_SCALE


def peak(pcm: bytes) -> float:
    """The largest sample's magnitude, 0 to 1; 0 for no samples."""
    return float(np.abs(_samples(pcm)).max(initial=0.0)) / FULL_SCALE


def dbfs(pcm: bytes) -> float:
    """RMS level in decibels relative to full scale, -100 (digital silence) to 0."""
    return _decibels(rms(pcm) ** 2)


def band_levels(pcm: bytes) -> tuple[float, float]:
    """Level of the whole and of the treble, in dBFS; at least two samples.

    The treble is the difference between neighbouring samples: hum and rumble, which drown a
    voice in the first figure, hardly reach the second.
    """
    samples = _samples(pcm)
    power = float(samples.dot(samples))
    # sum((x[n] - x[n-1])^2), without a second array
    first, last = float(samples[0]), float(samples[-1])
    product = float(samples[1:].dot(samples[:-1]))
    treble = max(0.0, 2 * (power - product) - first * first - last * last)
    scale = len(samples) * _FULL_POWER
    return _decibels(power / scale), _decibels(treble / scale)


def _samples(pcm: bytes) -> NDArray[np.float32]:
    return np.frombuffer(pcm, "<i2").astype(np.float32)


def _decibels(power: float) -> float:
    return max(SILENT_DBFS, 10 * math.log10(power)) if power > 0 else SILENT_DBFS
