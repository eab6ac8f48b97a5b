"""The events of a session on their way out, taken when somebody wants them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from calls.domain.events import Event, TranscriptPartial


class Source(Protocol):
    """An answer that gives out its events one by one."""

    def take(self, *, held: bool) -> Event | None:
        """The next event; None: there is none yet, or none while the session is held."""
        ...

    @property
    def over(self) -> bool:
        """Whether it has given out its last event."""
        ...


class Outlet:
    """What was understood goes before what is said; answers go in the order they were added.

    Nothing is made before it is taken: what has been removed never comes out.
    """

    def __init__(self) -> None:
        self._events: deque[tuple[Event, Callable[[], None] | None]] = deque()
        self._sources: list[Source] = []
        self._changed = asyncio.Event()
        self._held = False
        self._closed = False

    def put(self, event: Event, told: Callable[[], None] | None = None) -> None:
        """Let it come out; `told` is called when it does."""
        self._events.append((event, told))
        self._changed.set()

    def forget_partials(self) -> None:
        kept = [e for e in self._events if not isinstance(e[0], TranscriptPartial)]
        self._events = deque(kept)

    def add(self, source: Source) -> None:
        self._sources.append(source)
        self._changed.set()

    def remove(self, source: Source) -> None:
        """Nothing of it comes out any more. Unknown ones are ignored."""
        if source in self._sources:
            self._sources.remove(source)

    def hold(self, held: bool, /) -> None:
        self._held = held
        self._changed.set()

    def wake(self) -> None:
        """A source has more to give."""
        self._changed.set()

    def close(self) -> None:
        """Nothing more comes; what was not taken is forgotten. Idempotent."""
        self._closed = True
        self._events.clear()
        self._sources.clear()
        self._changed.set()

    async def events(self) -> AsyncIterator[Event]:
        """In order, until `close`."""
        while not self._closed:
            if (event := self._next()) is not None:
                yield event
                # A long answer that is all there must not keep the loop to itself.
                await asyncio.sleep(0)
                continue
            self._changed.clear()
            await self._changed.wait()

    def _next(self) -> Event | None:
        if self._events:
            event, told = self._events.popleft()
            if told is not None:
                told()
            return event
        for source in tuple(self._sources):
            event_of_it = source.take(held=self._held)
            if source.over:
                self._sources.remove(source)
            if event_of_it is not None:
                return event_of_it
        return None
