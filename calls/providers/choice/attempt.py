"""One request to one candidate, from its beginning to what is told of it."""

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError
from calls.ports.usage import CANCELLED, OK, Meter, ServiceReport, metered, report
from calls.providers.choice.course import Turn


class Tally(Protocol):
    """What we know ourselves of what a request used."""

    def usage(self, noted: Mapping[str, int], *, served: bool) -> tuple[dict[str, int], bool]:
        """What the provider noted and what we know beside it; True: guessed.

        Args:
            served: False when the request failed before anything of a result came.
        """
        ...


class Attempt:
    """Surrounds a request; leaving it tells the breaker and makes the report, without waiting.

    Left by a `ProviderError` it has failed, left by a cancellation it was cancelled, unless it was
    `complete` before.
    """

    def __init__(self, turn: Turn, stage: Stage, clock: Clock, tally: Tally) -> None:
        self._turn = turn
        self._stage = stage
        self._clock = clock
        self._tally = tally
        self._meter = Meter()
        self._metered = ExitStack()
        self._began_ms = 0
        self._first_ms: int | None = None
        self._over_ms: int | None = None
        self._complete = False

    @property
    def begun(self) -> bool:
        """Whether a part of the result has come."""
        return self._first_ms is not None

    def __enter__(self) -> Self:
        self._meter = self._metered.enter_context(metered())
        self._began_ms = self._clock.now_ms()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_clock()
        self._metered.close()
        if self._complete or error is None:
            self._tell(OK)
            self._turn.permit.succeeded()
        elif isinstance(error, ProviderError):
            self._meter.request_id = self._meter.request_id or error.request_id
            self._tell(error.kind.value)
            self._turn.permit.failed(error)
        else:
            self._tell(CANCELLED)
            self._turn.permit.released()

    def begin(self) -> None:
        """A part of the result is there."""
        if self._first_ms is None:
            self._first_ms = self._clock.now_ms() - self._began_ms

    def complete(self) -> None:
        """The result is there, whatever happens while the candidate lets go."""
        self._complete = True
        self._stop_clock()

    def _stop_clock(self) -> None:
        if self._over_ms is None:
            self._over_ms = self._clock.now_ms() - self._began_ms

    def _tell(self, outcome: str) -> None:
        provider, _, model = self._turn.name.partition(":")
        served = self.begun or outcome in (OK, CANCELLED)
        usage, estimated = self._tally.usage(self._meter.usage, served=served)
        report(
            ServiceReport(
                stage=self._stage,
                provider=provider,
                model=self._meter.model or model,
                outcome=outcome,
                began_ms=self._began_ms,
                first_ms=self._first_ms,
                duration_ms=self._over_ms or 0,
                request_id=self._meter.request_id,
                usage=usage,
                estimated=estimated,
            )
        )
