"""What a call's services were asked for: numbered, put to its turn, and kept."""

from collections.abc import Callable

from calls.domain.events import Stage
from calls.domain.state import Caller, CallState
from calls.domain.usage import ServiceUse
from calls.ports.usage import ServiceReport

REMEMBERED_RESPONSES = 32
"""A request for an older answer than these is put to the turn that goes on."""


class Ledger:
    """Takes reports at any time of the call, the last ones while it is being closed.

    Args:
        keep: puts a use on its way to the record; False: that way is closed, and the use waits
            for `late`.
        began_ms: of the call, on the session's clock.
        price: what a use costs, in millionths of the currency; None: nobody knows a price.

    Attributes:
        cost_micros: of all that was reported so far.
    """

    def __init__(
        self,
        keep: Callable[[ServiceUse], bool],
        began_ms: int,
        price: Callable[[ServiceReport], int | None] = lambda _report: None,
    ) -> None:
        self.cost_micros = 0
        self._keep = keep
        self._began_ms = began_ms
        self._price = price
        self._turns: dict[int, int] = {}
        self._late: list[ServiceUse] = []
        self._count = 0

    def asked(self, response_id: int, turn: int) -> None:
        """That answer belongs to that turn."""
        self._turns.pop(response_id, None)
        self._turns[response_id] = turn
        if len(self._turns) > REMEMBERED_RESPONSES:
            del self._turns[next(iter(self._turns))]

    def take(self, report: ServiceReport, response_id: int | None, state: CallState) -> None:
        """Keep what is reported. Never waits."""
        self._count += 1
        cost_micros = self._price(report)
        self.cost_micros += cost_micros or 0
        use = ServiceUse(
            number=self._count,
            turn=self._turn(report, response_id, state),
            response_id=response_id,
            stage=report.stage.value,
            provider=report.provider,
            model=report.model,
            outcome=report.outcome,
            began_ms=max(0, report.began_ms - self._began_ms),
            first_ms=report.first_ms,
            duration_ms=report.duration_ms,
            request_id=report.request_id,
            usage=dict(report.usage),
            estimated=report.estimated,
            cost_micros=cost_micros,
        )
        if not self._keep(use):
            self._late.append(use)

    def late(self) -> list[ServiceUse]:
        """Take out what was reported after the way to the record was closed, in order."""
        late, self._late = self._late, []
        return late

    def _turn(self, report: ServiceReport, response_id: int | None, state: CallState) -> int:
        if response_id is not None:
            return self._turns.get(response_id, state.turn)
        if report.stage is Stage.STT and state.awaiting:
            return state.awaiting[0].turn
        speaking = report.stage is Stage.STT and state.caller is not Caller.SILENT
        return state.turn + 1 if speaking else state.turn
