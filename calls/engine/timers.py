"""The timers of a call, by name."""

from collections.abc import Callable

from calls.ports.clock import Clock


class Timers:
    """At most one of each name runs.

    Args:
        fired: told the name, on the event loop.
    """

    def __init__(self, clock: Clock, fired: Callable[[str], None]) -> None:
        self._clock = clock
        self._fired = fired
        self._running: dict[str, Callable[[], None]] = {}

    def start(self, name: str, due_ms: int) -> None:
        """At `due_ms` of the clock; a running timer of that name is replaced."""
        self.cancel(name)
        self._running[name] = self._clock.call_at(due_ms, lambda: self._fire(name))

    def cancel(self, name: str) -> None:
        if (forget := self._running.pop(name, None)) is not None:
            forget()

    def cancel_all(self) -> None:
        for name in tuple(self._running):
            self.cancel(name)

    def _fire(self, name: str) -> None:
        del self._running[name]
        self._fired(name)
