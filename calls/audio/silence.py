"""Sound made silent, one channel and no sample more than is asked for."""

from collections.abc import Iterable

import numpy as np

from calls.domain.audio import SAMPLE_BYTES

Span = tuple[int, int]
"""Samples of one channel, from the first to the one behind the last."""


def silenced(pcm: bytes, *, channels: int, channel: int) -> bytes:
    """16-bit samples with one channel zero and the others as they are.

    Args:
        pcm: interleaved, whole frames.

    Raises:
        ValueError: there is no such channel, or a frame is torn.
    """
    if not 0 <= channel < channels or len(pcm) % (channels * SAMPLE_BYTES):
        raise ValueError("no such channel, or a torn frame")
    samples = np.frombuffer(pcm, "<i2").reshape(-1, channels).copy()
    samples[:, channel] = 0
    return samples.tobytes()


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same spans in order, those that touch in one; empty ones are left out."""
    whole: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if whole and start <= whole[-1][1]:
            whole[-1] = whole[-1][0], max(end, whole[-1][1])
        else:
            whole.append((start, end))
    return whole
