"""Ends calls that may not go on, from outside their own tasks: nothing that they do keeps them."""

import asyncio
import logging
from dataclasses import dataclass

from calls.domain.errors import EndReason
from calls.domain.events import EndAsked
from calls.engine.registry import LiveCall, Registry
from calls.ports.clock import Clock

logger = logging.getLogger(__name__)

TICK_MS = 50
"""How often the calls are looked at. It takes a microsecond a call, and asks nobody."""

PATIENCE_MS = 500
"""How long a call that has reached a cap may take to end by itself."""


@dataclass(slots=True)
class _Ending:
    """A call that was told to end."""

    reason: EndReason
    cut_at_ms: int
    cut: bool = False


class Watchdog:
    """Tells calls to end, and cuts those that do not.

    A call is at an end when its registry knows it no longer: the client is let go, and the record
    closed. Looking, telling and cutting wait for no call.
    """

    def __init__(self, calls: Registry, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        self._ending: dict[str, _Ending] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                while True:
                    self.look()
                    await self._clock.sleep(TICK_MS)
            finally:
                self._group = None

    def look(self) -> None:
        """Look at every call once; one that cannot be looked at does not matter to the others."""
        live: set[str] = set()
        for call in self._calls:
            live.add(call.call_id)
            try:
                self._look_at(call)
            except Exception:
                logger.exception("a call cannot be watched", extra={"call_id": call.call_id})
        for call_id in self._ending.keys() - live:
            del self._ending[call_id]

    def end(self, call: LiveCall, reason: EndReason, *, patience_ms: int = PATIENCE_MS) -> None:
        """Have it end for this reason; it is cut if it has not after `patience_ms`.

        Told twice, a call has the shorter of both times, and the first reason.
        """
        cut_at_ms = self._clock.now_ms() + patience_ms
        ending = self._ending.get(call.call_id)
        if ending is not None:
            ending.cut_at_ms = min(ending.cut_at_ms, cut_at_ms)
            return
        self._ending[call.call_id] = _Ending(reason, cut_at_ms)
        call.runner.post(EndAsked(reason=reason))

    def _look_at(self, call: LiveCall) -> None:
        if (reason := cap_reached(call)) is not None:
            self._end_once(call, reason)
        ending = self._ending.get(call.call_id)
        if ending is None or ending.cut or self._clock.now_ms() < ending.cut_at_ms:
            return
        if self._group is not None:
            ending.cut = True
            self._group.create_task(self._cut(call, ending.reason))

    def _end_once(self, call: LiveCall, reason: EndReason) -> None:
        """A cap that is reached stays so: its patience counts from the first look."""
        if not call.capped:
            call.capped = True
            self.end(call, reason)

    async def _cut(self, call: LiveCall, reason: EndReason) -> None:
        extra = {"call_id": call.call_id, "reason": reason}
        logger.warning("a call did not end by itself and is cut", extra=extra)
        try:
            await self._calls.cut(call, reason)
        except Exception as error:  # noqa: BLE001 - the watch goes on
            extra = {"call_id": call.call_id, "error": type(error).__name__}
            logger.error("a call could not be cut well", extra=extra)  # noqa: TRY400 - no payloads


def cap_reached(call: LiveCall) -> EndReason | None:
    """Which of its caps the call has reached."""
    if call.cap_ms is not None and call.runner.now_ms() >= call.cap_ms:
        return EndReason.MAX_LENGTH
    if call.cap_micros is not None and call.runner.cost_micros >= call.cap_micros:
        return EndReason.BUDGET
    return None
