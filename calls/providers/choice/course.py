"""The way of one request through the candidates for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import FATAL_FAULTS, ProviderError, ProviderFault
from calls.providers.choice.breaker import Breakers, Permit
from calls.providers.choice.budget import LEAST_MS


@dataclass(frozen=True, slots=True)
class Turn:
    """It is this candidate's turn."""

    index: int
    name: str
    permit: Permit


@dataclass(frozen=True, slots=True)
class Field:
    """Who could be asked, in the order of preference, and how they have done.

    `names` are for reports; `keys` tell breakers apart what may fail apart from each other.
    """

    stage: Stage
    names: Sequence[str]
    keys: Sequence[str]
    breakers: Breakers
    clock: Clock


class Course:
    """Says who is asked next.

    A candidate is asked once more when that may help, then the next one. One that says when to
    try again is tried again if nobody else is left, and time is.

    Args:
        left_ms: how much time is left for the request.
    """

    def __init__(self, field: Field, left_ms: Callable[[], int]) -> None:
        self._field = field
        self._left_ms = left_ms
        self._at = 0
        self._repeated = False
        self._later: tuple[int, int] | None = None
        self._error: ProviderError | None = None

    async def next(self) -> Turn:
        """Whose turn it is; waits only when all but one that wants to be waited for have failed.

        Raises:
            ProviderError: the last failure, or that nobody may be asked at all.
        """
        while self._at < len(self._field.names) and self._has_time():
            if turn := self._turn(self._at):
                return turn
            self._move_on()
        if turn := await self._awaited():
            return turn
        error, self._error = self._error or self._nobody(), None
        try:
            raise error
        finally:
            del error

    def failed(self, error: ProviderError) -> None:
        """The one whose turn it was has failed before anything of it was used."""
        error.__context__ = None
        self._error = error.with_traceback(None)  # it refers to those who refer to this
        if error.retry_after_ms is not None and self._later is None:
            self._later = self._field.clock.now_ms() + error.retry_after_ms, self._at
        if self._repeated or not _helps_to_repeat(error):
            self._move_on()
        else:
            self._repeated = True

    def _move_on(self) -> None:
        self._at += 1
        self._repeated = False

    def _has_time(self) -> bool:
        return self._error is None or self._left_ms() >= LEAST_MS

    def _turn(self, index: int) -> Turn | None:
        permit = self._field.breakers.admit(self._field.keys[index])
        return Turn(index, self._field.names[index], permit) if permit else None

    async def _awaited(self) -> Turn | None:
        """The one that said when to try again, at that time; each request waits once."""
        if self._later is None or self._at > len(self._field.names):
            return None
        due_ms, index = self._later
        wait_ms = max(0, due_ms - self._field.clock.now_ms())
        if wait_ms + LEAST_MS > self._left_ms():
            return None
        self._at = len(self._field.names) + 1
        await self._field.clock.sleep(wait_ms)
        return self._turn(index) if self._has_time() else None

    def _nobody(self) -> ProviderError:
        return ProviderError(
            ProviderFault.UNAVAILABLE,
            "No provider is available.",
            provider="",
            stage=self._field.stage,
            retryable=True,
        )


def _helps_to_repeat(error: ProviderError) -> bool:
    """Whether the same candidate may do better at once."""
    hopeless = FATAL_FAULTS | {ProviderFault.TIMEOUT}
    return error.retryable and error.kind not in hopeless and error.retry_after_ms is None
