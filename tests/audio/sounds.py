"""Sounds for tests: utterances from files, noise from a seed. Mono s16 at 16 kHz as arrays."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
UTTERANCES = Path(__file__).parents[1] / "fixtures" / "audio"

Sound = NDArray[np.float64]
"""Samples in units of one step, not yet rounded."""


def _spoken(path: Path) -> Sound:
    with wave.open(str(path)) as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(float)


_UTTERANCES = {path.stem: _spoken(path) for path in sorted(UTTERANCES.glob("*.wav"))}


def utterance(name: str) -> Sound:
    return _UTTERANCES[name].copy()


def utterance_names() -> list[str]:
    return list(_UTTERANCES)


def silence(ms: int) -> Sound:
    return np.zeros(RATE_HZ * ms // 1000)


def tone(hz: float, ms: int, *, rate_hz: int = RATE_HZ, dbfs: float = -12) -> Sound:
    """A sine of that RMS level."""
    times = np.arange(rate_hz * ms // 1000) / rate_hz
    return np.sin(2 * np.pi * hz * times) * np.sqrt(2) * amplitude(dbfs)


def white(ms: int, dbfs: float) -> Sound:
    return levelled(_chance().standard_normal(RATE_HZ * ms // 1000), dbfs)


def rumble(ms: int, dbfs: float) -> Sound:
    """Noise whose power falls with frequency, down to 20 Hz: it wavers like a street."""
    spectrum = np.fft.rfft(white(ms, dbfs))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 20 * ms / 1000))
    return levelled(np.fft.irfft(spectrum, RATE_HZ * ms // 1000), dbfs)


def hum(ms: int, dbfs: float) -> Sound:
    """Mains hum with its odd harmonics."""
    return levelled(sum(tone(50 * k, ms) / k for k in (1, 3, 5, 7)), dbfs)


def clicks(ms: int, dbfs: float) -> Sound:
    """Somebody typing fast: bursts of 5 to 25 ms, a dozen a second."""
    chance = _chance()
    sound, at = silence(ms), 0
    while at < len(sound) - 400:
        length = int(chance.integers(80, 400))
        decay = np.exp(-4 * np.arange(length) / length)
        sound[at : at + length] += chance.standard_normal(length) * decay
        at += int(chance.integers(800, 2_000))
    return levelled(sound, dbfs)


NOISES: dict[str, Callable[[int, float], Sound]] = {
    "white": white,
    "rumble": rumble,
    "hum": hum,
    "clicks": clicks,
}


def amplitude(dbfs: float) -> float:
    return 32_768 * 10 ** (dbfs / 20)


def levelled(sound: Sound, dbfs: float) -> Sound:
    """The sound, at that RMS level."""
    return sound * (amplitude(dbfs) / np.sqrt(np.mean(sound**2)))


def pcm(sound: Sound) -> bytes:
    return np.clip(np.round(sound), -32_768, 32_767).astype("<i2").tobytes()


def _chance() -> np.random.Generator:
    return np.random.default_rng(20)
