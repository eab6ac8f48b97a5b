"""A candidate's own context: entered and left within limits, and failing in one way only."""

import logging
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Generic, TypeVar

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.choice.budget import LEAVE_MS
from calls.providers.choice.limit import Limit

logger = logging.getLogger(__name__)

_SUBJECTS = {
    Stage.STT: "Speech recognition",
    Stage.LLM: "The language model",
    Stage.TTS: "The voice",
    Stage.VOICE: "The voice session",
}

R = TypeVar("R")
W = TypeVar("W")


class Guarded(Generic[R]):
    """Surrounds the use of a candidate. What it cannot let go of in time is given up.

    Args:
        own: the candidate's context for one request.
        name: the candidate's.
        entering_ms: how long it may take to enter.
    """

    def __init__(
        self,
        own: AbstractAsyncContextManager[R],
        clock: Clock,
        *,
        name: str,
        stage: Stage,
        entering: Limit,
    ) -> None:
        self._own = own
        self._clock = clock
        self._name = name
        self._stage = stage
        self._entering = entering

    async def __aenter__(self) -> R:
        return await self.within(self._entering, self._own.__aenter__())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            async with Limit(self._clock, LEAVE_MS):
                await self._own.__aexit__(kind, error, trace)
        except Exception as trouble:  # noqa: BLE001 - what is over cannot fail any more
            if trouble is not error:
                self._log("A provider did not let go of a request.", trouble)

    async def within(self, limit: Limit, work: Awaitable[W]) -> W:
        """What the candidate does within this limit.

        Raises:
            ProviderError: its own, TIMEOUT when the time is up, CRASHED for anything else.
        """
        try:
            async with limit:
                return await work
        except ProviderError:
            raise
        except Exception as trouble:  # noqa: BLE001 - an adapter's mistake, of whatever kind
            if limit.expired:
                raise self.error(ProviderFault.TIMEOUT, "took too long.", retryable=True) from None
            self._log("A provider failed in an unexpected way.", trouble)
            raise self.error(ProviderFault.CRASHED, "failed.") from None

    def error(self, kind: ProviderFault, what: str, *, retryable: bool = False) -> ProviderError:
        """An error of this candidate; `what` completes the sentence."""
        provider = self._name.partition(":")[0]
        return ProviderError(
            kind,
            f"{_SUBJECTS[self._stage]} {what}",
            provider=provider,
            stage=self._stage,
            retryable=retryable,
        )

    def _log(self, message: str, trouble: Exception) -> None:
        logger.warning(
            message,
            extra={
                "stage": self._stage.value,
                "provider": self._name,
                "kind": type(trouble).__name__,
            },
        )
