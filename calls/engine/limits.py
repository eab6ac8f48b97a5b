"""How fast a client may talk to us."""


class TokenBucket:
    """Lets through `rate` units a second on average, and `burst` at once.

    Args:
        rate: units a second, positive.
        burst: units in reserve at the start and at most.
    """

    def __init__(self, *, rate: float, burst: float, now_ms: int) -> None:
        self._rate_per_ms = rate / 1000
        self._burst = burst
        self._left = burst
        self._then_ms = now_ms

    def take(self, units: float, now_ms: int) -> bool:
        """Take `units` out; False, and nothing taken, when there are not enough."""
        passed_ms = max(0, now_ms - self._then_ms)
        self._then_ms = max(self._then_ms, now_ms)
        self._left = min(self._burst, self._left + passed_ms * self._rate_per_ms)
        if units > self._left:
            return False
        self._left -= units
        return True
