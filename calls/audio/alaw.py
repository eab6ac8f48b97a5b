"""G.711 A-law: a byte a sample, as telephony outside North America and Japan speaks it."""

import numpy as np
from numpy.typing import NDArray

_EVEN_BITS = 0x55
"""Inverted on the line, so that silence is not a row of zeros."""

_STEP = 3
"""A-law has 13 bits: the lowest three of a sample are not told."""


def _decoded(codes: NDArray[np.int32]) -> NDArray[np.int16]:
    """Sign (set: positive), three bits of segment, four of the place in it."""
    plain = codes ^ _EVEN_BITS
    segment, place = plain >> 4 & 7, plain & 15
    # The middle of each interval; the lowest segment is as fine as the one above it.
    middle = (place << 1) + 1 + np.where(segment > 0, 32, 0)
    magnitude = middle << np.maximum(segment - 1, 0) << _STEP
    signed: NDArray[np.int32] = np.where(plain & 0x80, magnitude, -magnitude)
    return signed.astype("<i2")


def _encoded(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    # What is just below zero is the smallest negative value, not zero.
    magnitude = np.where(samples < 0, ~samples, samples) >> _STEP
    segment = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    place = magnitude >> np.maximum(segment, 1) & 15
    sign = np.where(samples < 0, 0, 0x80)
    code: NDArray[np.int32] = (sign | segment << 4 | place) ^ _EVEN_BITS
    return code.astype(np.uint8)


_TO_PCM = _decoded(np.arange(256, dtype=np.int32))
_FROM_PCM = _encoded(np.arange(65_536, dtype=np.uint16).astype(np.int16).astype(np.int32))


def decode(alaw: bytes) -> bytes:
    """16-bit little-endian PCM at the same rate: twice as many bytes."""
    samples: NDArray[np.int16] = _TO_PCM[np.frombuffer(alaw, np.uint8)]
    return samples.tobytes()


def encode(pcm: bytes) -> bytes:
    """A-law at the same rate: half as many bytes.

    Raises:
        ValueError: `pcm` is an odd number of bytes.
    """
    codes: NDArray[np.uint8] = _FROM_PCM[np.frombuffer(pcm, "<u2")]
    return codes.tobytes()
