"""G.711 mu-law: a byte a sample, as telephony speaks it."""

import numpy as np
from numpy.typing import NDArray

_BIAS = 132
_LARGEST = 32_635
_SMALLEST_EXPONENT = 7


def _decoded(codes: NDArray[np.int32]) -> NDArray[np.int16]:
    """Sign, three bits of exponent, four of mantissa, all of them inverted."""
    plain = ~codes
    exponent, mantissa = plain >> 4 & 7, plain & 15
    magnitude = ((mantissa << 3) + _BIAS << exponent) - _BIAS
    signed: NDArray[np.int32] = np.where(plain & 0x80, -magnitude, magnitude)
    return signed.astype("<i2")


def _encoded(samples: NDArray[np.int32]) -> NDArray[np.uint8]:
    magnitude = np.minimum(np.abs(samples), _LARGEST) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - _SMALLEST_EXPONENT
    mantissa = magnitude >> exponent + 3 & 15
    sign = np.where(samples < 0, 0x80, 0)
    code: NDArray[np.int32] = ~(sign | exponent << 4 | mantissa) & 0xFF
    return code.astype(np.uint8)


_TO_PCM = _decoded(np.arange(256, dtype=np.int32))
_FROM_PCM = _encoded(np.arange(65_536, dtype=np.uint16).astype(np.int16).astype(np.int32))


def decode(ulaw: bytes) -> bytes:
    """16-bit little-endian PCM at the same rate: twice as many bytes."""
    samples: NDArray[np.int16] = _TO_PCM[np.frombuffer(ulaw, np.uint8)]
    return samples.tobytes()


def encode(pcm: bytes) -> bytes:
    """Mu-law at the same rate: half as many bytes.

    Raises:
        ValueError: `pcm` is an odd number of bytes.
    """
    codes: NDArray[np.uint8] = _FROM_PCM[np.frombuffer(pcm, "<u2")]
    return codes.tobytes()
