"""A call's recording as a reviewer gets it."""

import io
import wave
from dataclasses import dataclass

import numpy as np

from tests.e2e.microphone import RATE_HZ
from tests.e2e.sound import utterances

CALLER, AGENT = 0, 1


@dataclass(frozen=True, slots=True)
class Recording:
    """Two channels at 16 kHz, int16: the caller and the agent."""

    channels: np.ndarray

    @classmethod
    def read(cls, data: bytes) -> "Recording":
        """Of a WAV file."""
        with wave.open(io.BytesIO(data)) as file:
            assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (
                2,
                RATE_HZ,
                2,
            )
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return cls(samples.reshape(-1, 2).T)

    @property
    def length_ms(self) -> int:
        return self.channels.shape[1] * 1000 // RATE_HZ

    def part(self, channel: int, from_ms: int, to_ms: int) -> np.ndarray:
        """The samples between two times of the call."""
        return self.channels[channel][from_ms * RATE_HZ // 1000 : to_ms * RATE_HZ // 1000]

    def utterances(self, channel: int) -> list[tuple[int, int]]:
        """Where somebody speaks, in milliseconds of the call; short pauses are part of it."""
        return utterances(self.channels[channel], RATE_HZ)
