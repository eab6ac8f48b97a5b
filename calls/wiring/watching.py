"""Watches calls by what they put on their records: for the log and the metrics, never by frame."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from calls.domain.errors import EndReason
from calls.domain.items import Item
from calls.domain.timings import Turn
from calls.domain.usage import ServiceUse
from calls.engine.line import END_CODE, RESTART_CODE
from calls.engine.registry import LiveCall
from calls.ports.records import CallRecords
from calls.wiring.metrics import metrics

logger = logging.getLogger("calls.events")

_RESTART_CODES: Mapping[str, int] = {"browser": RESTART_CODE}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What the log says of a call beside its id."""

    call_id: str
    site: str
    protocol: str
    agent: str


class WatchedRecords:
    """`CallRecords` that tell the log and the metrics what passes through them."""

    def __init__(self, records: CallRecords, about: About) -> None:
        self._records = records
        self._about = about
        self._call: LiveCall | None = None
        self._turns: dict[int, bool] = {}
        """Number to whether it was told of."""
        self._provider_ms = 0
        self._over = False

    def begun(self, call: LiveCall) -> None:
        """The call runs."""
        self._call = call
        metrics().started(self._about.protocol)
        self._log("call_started")

    async def store_item(self, item: Item) -> None:
        await self._records.store_item(item)

    async def store_turn(self, turn: Turn) -> None:
        await self._records.store_turn(turn)
        told = self._turns.get(turn.turn, False)
        self._turns[turn.turn] = told or turn.response_id is not None
        if not told and turn.response_id is not None:
            self._tell_turn(turn)

    async def store_use(self, use: ServiceUse) -> None:
        await self._records.store_use(use)
        self._provider_ms += use.duration_ms
        metrics().used(use)

    async def finish(self, reason: EndReason, *, duration_ms: int) -> None:
        await self._records.finish(reason, duration_ms=duration_ms)
        if not self._over:
            self._over = True
            self._tell_end(reason, duration_ms)

    def _tell_turn(self, turn: Turn) -> None:
        metrics().turn(turn)
        stages = {f"{stage}_ms": ms for stage, ms in turn.timings.stages().items()}
        self._log(
            "turn",
            turn=turn.turn,
            latency_ms=turn.timings.latency_ms,
            interrupted=turn.interrupted,
            heard_ms=turn.heard_ms,
            error=turn.error,
            **stages,
        )

    def _tell_end(self, reason: EndReason, duration_ms: int) -> None:
        metrics().ended(reason, self._about.protocol, duration_ms)
        if self._call is not None:
            dropped = metrics().sound_dropped
            dropped["detector"] += self._call.intake.dropped
            dropped["voice"] += self._call.runner.dropped_audio
        self._log(
            "call_ended",
            reason=reason.value,
            code=self._close_code(reason),
            seconds=round(duration_ms / 1000, 3),
            turns=len(self._turns),
            provider_seconds=round(self._provider_ms / 1000, 3),
        )

    def _close_code(self, reason: EndReason) -> int | None:
        """What the client's socket is about to be closed with; None: it has gone already."""
        if self._call is None or self._call.runner.client is None:
            return None
        if reason is EndReason.RESTARTED:
            return _RESTART_CODES.get(self._about.protocol, END_CODE)
        return END_CODE

    def _log(self, event: str, **fields: object) -> None:
        about = self._about
        extra = {
            "call_id": about.call_id,
            "site": about.site,
            "protocol": about.protocol,
            "agent": about.agent,
        }
        logger.info(event, extra=extra | fields)
