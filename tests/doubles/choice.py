"""Requests through the choosing services, on a clock of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.usage import ServiceReport, reporting
from calls.providers.choice.breaker import Breakers, BreakerState
from calls.providers.choice.choosing import breaker_key
from tests.doubles.clock import FakeClock


def trouble(
    kind: ProviderFault = ProviderFault.UNAVAILABLE,
    *,
    retryable: bool = False,
    retry_after_ms: int | None = None,
    request_id: str = "",
    message: str = "Not today.",
) -> ProviderError:
    return ProviderError(
        kind,
        message,
        provider="x",
        stage=Stage.LLM,
        retryable=retryable,
        retry_after_ms=retry_after_ms,
        request_id=request_id,
    )


class Desk:
    """A clock, breakers, and the reports of all that is done at it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.breakers = Breakers(self.clock)
        self.reports: list[ServiceReport] = []

    @property
    def shared(self) -> dict[str, Any]:
        return {"breakers": self.breakers, "clock": self.clock}

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(f"{told.provider}:{told.model}", told.outcome) for told in self.reports]

    def state(self, stage: Stage, name: str) -> BreakerState:
        return self.breakers.state(breaker_key(stage, name))

    def opened(self, stage: Stage, name: str) -> None:
        """Nobody asks that service for a minute."""
        permit = self.breakers.admit(breaker_key(stage, name))
        assert permit is not None
        permit.failed(trouble(ProviderFault.AUTH))

    async def told(self, work: Coroutine[Any, Any, Any]) -> Any:
        with reporting(self.reports.append):
            return await work

    @asynccontextmanager
    async def doing(self, work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
        """That work goes on in a task of its own, which is cancelled at the end."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.told(_kept(work)))
            await self.clock.settle()
            yield task
            task.cancel()


async def _kept(work: Coroutine[Any, Any, Any]) -> Any:
    """Its result, or the error that it ended with."""
    try:
        return await work
    except ProviderError as error:
        return error
