"""The end of one call: everything of it is put away, once, whoever asks for it."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from calls.domain import effects as do
from calls.domain.errors import EndReason
from calls.domain.usage import ServiceUse
from calls.engine.ledger import Ledger
from calls.engine.line import Line
from calls.engine.setup import CallSetup
from calls.ports.records import CallRecords

logger = logging.getLogger(__name__)

LEFT_MS = 250
"""How long the end of a call waits until what its lane left behind is safe. It is on its way by
then, before the end of the record."""

Kept = do.Effect | ServiceUse


class Closing:
    """Puts the belongings of one call away.

    Args:
        stop: has nothing more happen by itself.
        left: takes out what still waits to be put on the record.
    """

    def __init__(
        self,
        setup: CallSetup,
        ledger: Ledger,
        line: Line,
        *,
        stop: Callable[[], None],
        left: Callable[[], Sequence[Kept]],
    ) -> None:
        self._setup = setup
        self._ledger = ledger
        self._line = line
        self._stop = stop
        self._left = left
        self._decided: EndReason | None = None
        self._over = asyncio.Event()
        self.begun = False

    def decide(self, reason: EndReason) -> None:
        """The call is over for this reason, whatever the one who closes it will say."""
        if not self.begun:
            self._decided = self._decided or reason

    async def close(self, reason: EndReason, *, duration_ms: int) -> EndReason:
        """Put all of it away, or wait until that is done; the reason that stands on the record.

        Recording, record and client are each closed even if what comes before fails.
        """
        if self.begun:
            await self._over.wait()
        else:
            self.begun = True
            self._decided = self._decided or reason
            try:
                await self._put_away(self._decided, duration_ms)
            finally:
                self._over.set()
        return self._decided or reason

    async def _put_away(self, reason: EndReason, duration_ms: int) -> None:
        self._stop()
        records, recording = self._setup.records, self._setup.recording
        try:
            if recording is not None:
                await recording.close(duration_ms)
            await self._store_left()
        finally:
            await records.finish(reason, duration_ms=duration_ms)
        await self._line.close(reason)

    async def _store_left(self) -> None:
        """Put on the record what waited for that, and what was reported at the very end."""
        left = (*self._left(), *self._ledger.late())
        try:
            async with asyncio.timeout(LEFT_MS / 1000):
                await asyncio.gather(*(keep(self._setup.records, entry) for entry in left))
        except Exception as error:  # noqa: BLE001 - the record is closed all the same
            extra = {"call_id": self._setup.info.call_id, "error": type(error).__name__}
            logger.warning("the last entries of a call are late", extra=extra)


async def keep(records: CallRecords, entry: Kept) -> None:
    """Put it on the record."""
    match entry:
        case ServiceUse():
            await records.store_use(entry)
        case do.StoreItem(item):
            await records.store_item(item)
        case do.StoreTurn(turn):
            await records.store_turn(turn)
