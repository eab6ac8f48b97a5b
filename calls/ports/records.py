"""What a call leaves behind, as the engine sees it."""

from typing import Protocol

from calls.domain.errors import EndReason
from calls.domain.items import Item
from calls.domain.timings import Turn
from calls.domain.usage import ServiceUse


class CallRecords(Protocol):
    """The record of one call, written as it goes on.

    Every method returns when what it was given survives a kill of the process: in the database,
    or, while that is away, in the local journal from which it is written later. None raises for
    a slow or absent database, and none runs on the event loop's thread.
    """

    async def store_item(self, item: Item) -> None:
        """Write the item, or overwrite the one of the same `item_id`."""
        ...

    async def store_turn(self, turn: Turn) -> None:
        """Write the turn, or overwrite the one of the same number."""
        ...

    async def store_use(self, use: ServiceUse) -> None:
        """Write what a provider was asked for, or overwrite the one of the same number."""
        ...

    async def finish(self, reason: EndReason, *, duration_ms: int) -> None:
        """Close the conversation and ask for its summary. The last call; idempotent."""
        ...


class RecordingSink(Protocol):
    """Where the recording of one call goes. Never raises; a full disk ends the recording only.

    Both channels are `audio.CALLER`-rate or `audio.AGENT`-rate s16 mono as given by `rate_hz`.
    """

    def caller(self, start_ms: int, pcm: bytes) -> None:
        """Caller audio (16 kHz) that began `start_ms` after the call; never waits.

        Starts ascend; a gap is silence, and an overlap with what was given before is dropped.
        """
        ...

    def agent(self, start_ms: int, pcm: bytes) -> None:
        """Agent audio (24 kHz) heard from `start_ms` on; same rules."""
        ...

    async def close(self, end_ms: int) -> None:
        """Write what is left, pad both channels to `end_ms`, close the file; idempotent."""
        ...
