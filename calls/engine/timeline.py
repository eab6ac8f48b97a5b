"""Where the caller's sound lies in the call."""

from collections.abc import Callable

from calls.domain.audio import CALLER

SETTLE_MS = 2_000
"""So long arrivals are watched before the time line follows a client whose clock is slow."""

DRIFT_MS = 40
"""How far that clock may lag. What is smaller is left alone: each step is a gap in the sound."""


PAUSE_MS = 1_500
"""Sound that counts no samples and comes so much later than the sound before it was spoken after
a pause, in which its client sent nothing."""


class Timeline:
    """Tells the time of a sound by the client's count of samples; arrival only says when it began.

    The earliest arrival counts, because sound can be late and never early. Sound that a client
    kept during an outage and sends in a burst lands where it was spoken.

    Args:
        now_ms: milliseconds since the call began.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._origin_ms: int | None = None
        """When sample 0 was spoken, as far as is known."""
        self._watched_from_ms = 0
        self._first_origin_ms = 0
        self._least_origin_ms = 0
        self.samples = 0
        """How many samples of `audio.CALLER` have passed."""

    def take(self, samples: int, *, counted: bool = True) -> int:
        """So many samples have arrived; returns when they were spoken, below 0 before the call.

        Args:
            counted: the client counts samples, those that it does not send among them.
        """
        began = self.samples
        self.samples += samples
        now_ms = self._now_ms()
        if not counted:
            self._resume(now_ms, now_ms - _ms(self.samples))
        self._follow(now_ms, now_ms - _ms(self.samples))
        return (self._origin_ms or 0) + _ms(began)

    def skip(self, samples: int) -> None:
        """Samples that never came: muted at the source, or lost."""
        self.samples += samples

    def ms_at(self, samples: int) -> int:
        """When the sample of that number was spoken, milliseconds since the call began."""
        return max(0, (self._origin_ms or 0) + _ms(samples))

    def _follow(self, now_ms: int, origin_ms: int) -> None:
        if self._origin_ms is None:
            self._origin_ms = origin_ms
            self._watch(now_ms, origin_ms)
        if origin_ms < self._origin_ms:
            self._origin_ms = origin_ms
        if origin_ms < self._least_origin_ms:
            self._least_origin_ms = origin_ms
        if now_ms - self._watched_from_ms < SETTLE_MS:
            return
        catching_up = origin_ms < self._first_origin_ms - DRIFT_MS
        if not catching_up and self._least_origin_ms - self._origin_ms > DRIFT_MS:
            self._origin_ms = self._least_origin_ms
        self._watch(now_ms, origin_ms)

    def _resume(self, now_ms: int, origin_ms: int) -> None:
        """After a pause the count says nothing any more, and arrival all."""
        if self._origin_ms is not None and origin_ms - self._origin_ms > PAUSE_MS:
            self._origin_ms = origin_ms
            self._watch(now_ms, origin_ms)

    def _watch(self, now_ms: int, origin_ms: int) -> None:
        self._watched_from_ms = now_ms
        self._first_origin_ms = self._least_origin_ms = origin_ms


def _ms(samples: int) -> int:
    return samples * 1000 // CALLER.rate_hz
