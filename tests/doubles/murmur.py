"""Sounds that stand for speech: deterministic, and as loud as somebody who talks."""

import io
import wave

import numpy as np


def murmur(ms: int, rate_hz: int, *, pitch_hz: int = 140, syllable_ms: int = 190) -> bytes:
    """Voiced syllables without words: s16le mono PCM of exactly `ms` milliseconds."""
    at_s = np.arange(rate_hz * ms // 1000) / rate_hz
    voice = sum(np.sin(2 * np.pi * pitch_hz * k * at_s) / k for k in range(1, 9))
    syllables = np.sin(np.pi * (at_s * 1000 % syllable_ms) / syllable_ms) ** 0.6
    words = 0.65 + 0.35 * np.sin(2 * np.pi * at_s * 1.3)
    return _pcm(0.22 * voice * syllables * words)


def tone(ms: int, rate_hz: int, *, hz: int = 440, peak: float = 0.5) -> bytes:
    """A sine: s16le mono PCM of exactly `ms` milliseconds."""
    at_s = np.arange(rate_hz * ms // 1000) / rate_hz
    return _pcm(peak * np.sin(2 * np.pi * hz * at_s))


def silence(ms: int, rate_hz: int) -> bytes:
    """Nothing: s16le mono PCM of exactly `ms` milliseconds."""
    return bytes(2 * (rate_hz * ms // 1000))


def wav(pcm: bytes, rate_hz: int) -> bytes:
    """A WAV file of s16le mono PCM."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return file.getvalue()


def level(pcm: bytes) -> float:
    """RMS of s16le mono PCM, 0 to 1."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 32768
    return float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0


def _pcm(samples: np.ndarray) -> bytes:
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
