"""A stream of parts from the first candidate that gives one."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.choice.attempt import Attempt, Tally
from calls.providers.choice.budget import Budget
from calls.providers.choice.choosing import Choosing
from calls.providers.choice.course import Turn
from calls.providers.choice.guarded import Guarded
from calls.providers.choice.limit import Limit

P = TypeVar("P")
P_in = TypeVar("P_in", contravariant=True)


class PartTally(Tally, Protocol[P_in]):
    def take(self, part: P_in) -> None:
        """That part has come."""
        ...


@dataclass(frozen=True, slots=True)
class Request(Generic[P]):
    """What is asked for.

    Attributes:
        ask: the context of the request to the candidate with that index.
        tally: a fresh one for each attempt.
        weighs: whether a part is any of the result; others wait for the first that is.
        may_be_empty: a stream that ends without any of the result is a result.
    """

    ask: Callable[[int], AbstractAsyncContextManager[AsyncIterator[P]]]
    tally: Callable[[], PartTally[P]]
    weighs: Callable[[P], bool]
    may_be_empty: bool


@asynccontextmanager
async def chosen(
    choosing: Choosing, request: Request[P], budget: Budget
) -> AsyncIterator[AsyncIterator[P]]:
    """The parts of one candidate's answer; leaving the context lets go of it at once."""
    async with aclosing(_Stream(choosing, request, budget).parts()) as parts:
        yield parts


class _Stream(Generic[P]):
    def __init__(self, choosing: Choosing, request: Request[P], budget: Budget) -> None:
        self._choosing = choosing
        self._request = request
        self._budget = budget
        self._clock = choosing.field.clock

    async def parts(self) -> AsyncGenerator[P, None]:
        due_ms = self._clock.now_ms() + self._budget.total_ms
        course = self._choosing.course(lambda: due_ms - self._clock.now_ms())
        while True:
            turn = await course.next()
            tally = self._request.tally()
            attempt = Attempt(turn, self._choosing.field.stage, self._clock, tally)
            first_due_ms = min(due_ms, self._clock.now_ms() + self._budget.first_ms)
            try:
                with attempt:
                    async with aclosing(self._asked(turn, attempt, first_due_ms)) as parts:
                        async for part in parts:
                            tally.take(part)
                            self._choosing.serves(turn.index)
                            yield part
            except ProviderError as error:
                if attempt.begun:
                    raise
                course.failed(error)
            else:
                return

    async def _asked(
        self, turn: Turn, attempt: Attempt, first_due_ms: int
    ) -> AsyncGenerator[P, None]:
        """One candidate's parts, as soon as there is one that weighs."""
        guarded = Guarded(
            _closing(self._request.ask(turn.index)),
            self._clock,
            name=turn.name,
            stage=self._choosing.field.stage,
            entering=self._until(first_due_ms),
        )
        async with guarded as stream:
            light: list[P] = []
            while True:
                limit = self._next(attempt, first_due_ms)
                if (part := await guarded.within(limit, anext(stream, None))) is None:
                    break
                light.append(part)
                if not attempt.begun and not self._request.weighs(part):
                    continue
                attempt.begin()
                while light:
                    yield light.pop(0)
            if not attempt.begun and not self._request.may_be_empty:
                raise guarded.error(ProviderFault.TRUNCATED, "gave nothing.", retryable=True)
            attempt.complete()
            self._choosing.serves(turn.index)

    def _next(self, attempt: Attempt, first_due_ms: int) -> Limit:
        if attempt.begun:
            return Limit(self._clock, self._budget.stall_ms)
        return self._until(first_due_ms)

    def _until(self, due_ms: int) -> Limit:
        return Limit(self._clock, due_ms - self._clock.now_ms())


@asynccontextmanager
async def _closing(
    own: AbstractAsyncContextManager[AsyncIterator[P]],
) -> AsyncIterator[AsyncIterator[P]]:
    """The same context; its stream is closed before it is left, if it can be closed."""
    async with own as parts:
        try:
            yield parts
        finally:
            if (close := getattr(parts, "aclose", None)) is not None:
                await close()
