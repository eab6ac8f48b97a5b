"""What the three kinds of chosen services have in common."""

import logging
from collections.abc import Callable, Sequence
from typing import Self

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.speech import CallScoped
from calls.providers.choice.breaker import Breakers, BreakerState
from calls.providers.choice.budget import LEAVE_CALL_MS
from calls.providers.choice.course import Course, Field
from calls.providers.choice.limit import Limit

logger = logging.getLogger(__name__)


def breaker_key(stage: Stage, name: str, variant: str = "") -> str:
    """By what breakers know a service: a voice that does not exist says nothing of the others."""
    return f"{stage.value} {name} {variant}".rstrip()


class Choosing:
    """The candidates for one stage of one call, the preferred one first.

    It is `CallScoped` for the candidates that are, and known by the name of the one that served
    last; before that by the one that would be asked first.
    """

    def __init__(
        self,
        stage: Stage,
        services: Sequence[object],
        names: Sequence[str],
        breakers: Breakers,
        clock: Clock,
        variants: Sequence[str] = (),
    ) -> None:
        if not services:
            raise ValueError("There must be a candidate.")
        marks = variants or [""] * len(names)
        keys = tuple(breaker_key(stage, *entry) for entry in zip(names, marks, strict=True))
        self.field = Field(stage, tuple(names), keys, breakers, clock)
        self._services = tuple(services)
        self._served: int | None = None
        self._entered: list[CallScoped] = []

    @property
    def name(self) -> str:
        return self.field.names[self._first() if self._served is None else self._served]

    def serves(self, index: int) -> None:
        """That candidate's result is about to be passed on."""
        self._served = index

    def course(self, left_ms: Callable[[], int]) -> Course:
        """The way of a new request."""
        return Course(self.field, left_ms)

    async def __aenter__(self) -> Self:
        try:
            for service in dict.fromkeys(self._services):
                if isinstance(service, CallScoped):
                    await service.__aenter__()
                    self._entered.append(service)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        due_ms = self.field.clock.now_ms() + LEAVE_CALL_MS
        while self._entered:
            share_ms = (due_ms - self.field.clock.now_ms()) // len(self._entered)
            await self._leave(self._entered.pop(), share_ms)

    def warm(self) -> None:
        first = self._services[self._first()]
        if isinstance(first, CallScoped):
            first.warm()

    def _first(self) -> int:
        """The candidate that would be asked now."""
        states = map(self.field.breakers.state, self.field.keys)
        closed = (index for index, state in enumerate(states) if state is BreakerState.CLOSED)
        return next(closed, 0)

    async def _leave(self, service: CallScoped, ms: int) -> None:
        """Let it go: in this task, as it was entered, and so one after the other."""
        try:
            async with Limit(self.field.clock, ms):
                await service.__aexit__(None, None, None)
        except Exception as trouble:  # noqa: BLE001 - the others have to be left as well
            logger.warning(
                "A provider did not let go of a call.",
                extra={"stage": self.field.stage.value, "kind": type(trouble).__name__},
            )
