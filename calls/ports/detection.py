"""Hearing speech: windows of the caller's audio in, probabilities of speech out."""

from collections.abc import Callable
from typing import Protocol


class Detection(Protocol):
    """One call's detector. Used from one event loop; nothing here waits."""

    def submit(self, window: bytes) -> None:
        """Take the next window of the caller's audio, `audio.CALLER`.

        Exactly one probability follows for each window, in order, through the callback given
        to `SpeechDetector.open`: never from within this call, a few milliseconds later as a
        rule.

        Raises:
            ValueError: not `SpeechDetector.window_samples` samples.
        """
        ...

    def close(self) -> None:
        """Let go of the call's state. No probability follows. Idempotent."""
        ...


class SpeechDetector(Protocol):
    """What all calls of a process share."""

    window_samples: int
    """Length of a window, in samples of `audio.CALLER`."""

    degraded: bool
    """The detector works, but less well than it should: its model failed lately."""

    def open(self, on_probability: Callable[[float], None]) -> Detection:
        """Begin to listen to a call.

        Args:
            on_probability: takes, on the event loop, how likely each window holds speech, 0 to
                1. It must neither block nor raise; if it raises, its call hears nothing more.
        """
        ...
