"""The events of a session on their way out: in order, bounded, revocable."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from calls.domain.events import Event

QUEUED_EVENTS = 256


@dataclass(slots=True)
class Sender:
    """Whose events these are. Once it is revoked, none of them comes out any more."""

    revoked: bool = False
    queued: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A task that speaks through an outbox."""

    task: asyncio.Task[None]
    sender: Sender

    @property
    def over(self) -> bool:
        """Whether nothing is left to revoke."""
        return self.task.done() and not self.sender.queued

    def revoke(self) -> None:
        """Stop it, and take back what it has said and nobody has read."""
        self.sender.revoked = True
        self.task.cancel()


class Outbox:
    """One queue for all that a session has to say. A full one makes its writers wait."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[Sender, Event] | None] = asyncio.Queue(QUEUED_EVENTS)
        self._closed = False

    async def put(self, sender: Sender, event: Event) -> None:
        if not sender.revoked:
            await self._queue.put((sender, event))
            sender.queued += 1

    def close(self) -> None:
        """Nothing more comes; what was not read is forgotten. Idempotent."""
        self._closed = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def events(self) -> AsyncIterator[Event]:
        """What was put in by senders that were not revoked meanwhile; ends after `close`."""
        while not self._closed:
            if (entry := await self._queue.get()) is None:
                continue
            sender, event = entry
            sender.queued -= 1
            if not sender.revoked:
                yield event
