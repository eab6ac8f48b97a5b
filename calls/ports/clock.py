"""Time, as the engine sees it."""

from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    def now_ms(self) -> int:
        """Milliseconds on a monotonic clock with an arbitrary origin."""
        ...

    def call_at(self, due_ms: int, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back on the event loop at `due_ms`; returns a function that forgets it."""
        ...

    async def sleep(self, ms: int) -> None: ...
