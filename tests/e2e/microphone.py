"""A caller as a WAV: utterances with silence between, and where each of them begins."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.e2e.sound import BLOCK_MS, SPEECH_RMS, loudness

CALLERS = Path(__file__).resolve().parents[1] / "fixtures" / "callers"
RATE_HZ = 16_000
_REST_MS = 2_000


@dataclass(frozen=True, slots=True)
class Utterance:
    """16 kHz mono, as int16."""

    name: str
    samples: np.ndarray

    @classmethod
    def named(cls, name: str) -> "Utterance":
        """One of the fixtures."""
        with wave.open(str(CALLERS / f"{name}.wav"), "rb") as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (
                RATE_HZ,
                1,
                2,
            )
            return cls(name, np.frombuffer(file.readframes(file.getnframes()), dtype="<i2"))

    @property
    def onset(self) -> int:
        """The first sample of its first 10 ms of speech."""
        first = np.flatnonzero(loudness(self.samples, RATE_HZ) > SPEECH_RMS)[0]
        return int(first) * BLOCK_MS * RATE_HZ // 1000


def record(path: Path, *parts: int | str) -> None:
    """Write a microphone's WAV.

    Args:
        path: of the file.
        parts: milliseconds of silence, and names of utterances, in order.
    """
    sound = [
        np.zeros(RATE_HZ * part // 1000, dtype="<i2")
        if isinstance(part, int)
        else Utterance.named(part).samples
        for part in (*parts, _REST_MS)
    ]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.concatenate(sound).astype("<i2").tobytes())
