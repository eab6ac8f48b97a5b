"""What the parts of a session share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.usage import ServiceReport
from calls.ports.voice import ReportTaker
from calls.providers.openai.realtime.connection import Connection
from calls.providers.openai.realtime.outlet import Outlet
from calls.providers.openai.realtime.settings import RealtimeSettings


def _ignore(_report: ServiceReport, _response_id: int | None) -> None:
    pass


@dataclass(slots=True)
class Desk:
    """Where the parts of one session find each other."""

    settings: RealtimeSettings
    provider: str
    clock: Clock
    connection: Connection
    outlet: Outlet
    take: ReportTaker = _ignore
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def name(self) -> str:
        """Of the model, as events carry it."""
        return f"{self.provider}:{self.settings.model}"

    def tag(self, kind: str) -> str:
        """A name of our own for something that is asked for."""
        return f"{kind}-{next(self._numbers)}"

    def after(self, ms: int, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back in so many milliseconds; returns what forgets it."""
        return self.clock.call_at(self.clock.now_ms() + ms, callback)


@dataclass(slots=True)
class Request:
    """One request in progress, and its report once it is over."""

    desk: Desk
    stage: Stage
    model: str
    began_ms: int
    first_ms: int | None = None
    request_id: str = ""
    _told: bool = False

    def came(self) -> None:
        """A part of the result is here."""
        if self.first_ms is None:
            self.first_ms = self.desk.clock.now_ms() - self.began_ms

    def over(
        self,
        outcome: str,
        usage: dict[str, int],
        response_id: int | None = None,
        *,
        estimated: bool = False,
    ) -> None:
        """Tell of it, once."""
        if self._told:
            return
        self._told = True
        report = ServiceReport(
            stage=self.stage,
            provider=self.desk.provider,
            model=self.model,
            outcome=outcome,
            began_ms=self.began_ms,
            first_ms=self.first_ms,
            duration_ms=self.desk.clock.now_ms() - self.began_ms,
            request_id=self.request_id,
            usage=usage,
            estimated=estimated,
        )
        self.desk.take(report, response_id)
