"""What can be said of sound: how loud it is, where somebody speaks, how alike two pieces are."""

import numpy as np

SPEECH_RMS = 0.003
"""Louder is speech: -50 dBFS."""
BLOCK_MS = 10
_PAUSE_MS = 600


def loudness(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """RMS of every 10 ms of 16-bit samples, 0 to 1."""
    block = rate_hz * BLOCK_MS // 1000
    whole = samples[: len(samples) // block * block] / 32768
    return np.sqrt(np.mean(whole.reshape(-1, block) ** 2, axis=1))


def utterances(samples: np.ndarray, rate_hz: int) -> list[tuple[int, int]]:
    """Where somebody speaks, in milliseconds; short pauses are part of it."""
    loud = np.flatnonzero(loudness(samples, rate_hz) > SPEECH_RMS)
    if not loud.size:
        return []
    breaks = np.flatnonzero(np.diff(loud) * BLOCK_MS > _PAUSE_MS)
    firsts, lasts = loud[[0, *(breaks + 1)]], loud[[*breaks, -1]]
    return [
        (int(first) * BLOCK_MS, (int(last) + 1) * BLOCK_MS)
        for first, last in zip(firsts, lasts, strict=True)
    ]


def place(wanted: np.ndarray, heard: np.ndarray) -> tuple[int, float]:
    """Where in `heard` the sound `wanted` is, as an index, and how alike the two are there, to 1."""
    wanted, heard = wanted.astype(float), heard.astype(float)
    size = 1 << (heard.size + wanted.size).bit_length()
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wanted, size)), size)
    at = int(np.argmax(products[: max(1, heard.size - wanted.size + 1)]))
    found = heard[at : at + wanted.size]
    return at, float(products[at] / (np.linalg.norm(wanted) * np.linalg.norm(found) or 1))
