"""One utterance, heard by one candidate after the other until one has understood it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Self

from calls.domain.audio import CALLER
from calls.ports.errors import ProviderError
from calls.ports.speech import Transcriber
from calls.providers.choice.attempt import Attempt
from calls.providers.choice.budget import Budget
from calls.providers.choice.choosing import Choosing
from calls.providers.choice.course import Turn
from calls.providers.choice.guarded import Guarded
from calls.providers.choice.kept import Kept
from calls.providers.choice.limit import Limit
from calls.providers.choice.tasks import ended

Ask = Callable[[int], AbstractAsyncContextManager[Transcriber]]


@dataclass(slots=True)
class _Sound:
    """How much was sent to a candidate."""

    sent_bytes: int = 0

    def usage(self, noted: Mapping[str, int], *, served: bool) -> tuple[dict[str, int], bool]:  # noqa: ARG002 - what was sent was sent
        return {"audio_ms": CALLER.ms_of(self.sent_bytes), **noted}, False


class HeardUtterance:
    """A `Transcriber`, and its context: within, a task of its own deals with the candidates.

    Time is limited while a candidate opens, and from `finish` on.

    Args:
        ask: the context of an utterance with the candidate of that index.
    """

    def __init__(self, choosing: Choosing, ask: Ask, budget: Budget) -> None:
        self._choosing = choosing
        self._ask = ask
        self._budget = budget
        self._clock = choosing.field.clock
        self._group = asyncio.TaskGroup()
        self._worker: asyncio.Task[None] | None = None
        self._kept = Kept()
        self._limit: Limit | None = None
        self._due_ms: int | None = None
        self._result: str | ProviderError | None = None
        self._served = 0
        self._asked = 0
        self._partial = ""
        self._changed = asyncio.Event()
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._worker = self._group.create_task(self._run())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._worker is not None
        if not self._over.is_set():
            self._worker.cancel()
        try:
            await ended(self._worker)
        finally:
            self._result = None  # an error refers to those who passed it on
            await self._group.__aexit__(None, None, None)

    async def feed(self, pcm: bytes) -> None:
        if not self._kept.complete:
            self._kept.add(pcm)

    async def finish(self) -> str:
        if not self._kept.complete:
            self._due_ms = self._clock.now_ms() + self._budget.total_ms
            self._kept.close()
            if self._limit is not None:
                self._limit.start(self._first_ms())
        await self._over.wait()
        if isinstance(self._result, ProviderError):
            raise self._result
        self._choosing.serves(self._served)
        return self._result or ""

    async def partials(self) -> AsyncIterator[str]:
        told = ""
        while not self._over.is_set():
            if self._partial != told:
                told = self._partial
                yield told
            else:
                self._changed.clear()
                await self._changed.wait()

    async def _run(self) -> None:
        try:
            await self._hear()
        except ProviderError as error:
            self._settle(error)

    def _settle(self, result: str | ProviderError) -> None:
        self._result = result
        self._kept.close()
        self._kept.forget()
        self._over.set()
        self._changed.set()

    async def _hear(self) -> None:
        course = self._choosing.course(self._left_ms)
        while True:
            turn = await course.next()
            sound = _Sound()
            attempt = Attempt(turn, self._choosing.field.stage, self._clock, sound)
            try:
                with attempt:
                    await self._try(turn, attempt, sound)
            except ProviderError as error:
                course.failed(error)
            else:
                return

    async def _try(self, turn: Turn, attempt: Attempt, sound: _Sound) -> None:
        self._asked = turn.index
        due_ms = self._clock.now_ms() + self._first_ms()
        self._limit = Limit(self._clock, self._first_ms())
        guarded = Guarded(
            self._ask(turn.index),
            self._clock,
            name=turn.name,
            stage=self._choosing.field.stage,
            entering=self._limit,
        )
        async with guarded as transcriber:
            hurried = self._kept.complete
            limit = Limit(self._clock, due_ms - self._clock.now_ms() if hurried else None)
            self._limit = limit
            partials = self._group.create_task(self._relay(transcriber, attempt))
            try:
                text = await guarded.within(limit, self._listen(transcriber, sound))
            finally:
                self._limit = None
                partials.cancel()
            attempt.begin()
            attempt.complete()
            self._served = turn.index
            self._settle(text)

    async def _listen(self, transcriber: Transcriber, sound: _Sound) -> str:
        number = 0
        while (chunk := await self._kept.after(number)) is not None:
            at, pcm = chunk
            await transcriber.feed(pcm)
            sound.sent_bytes += len(pcm)
            number = at + 1
        return await transcriber.finish()

    async def _relay(self, transcriber: Transcriber, attempt: Attempt) -> None:
        """Partials are a courtesy: their failure is `finish`'s to tell."""
        with suppress(Exception):
            async for text in transcriber.partials():
                attempt.begin()
                self._partial = text
                self._changed.set()

    def _first_ms(self) -> int:
        """An engine of this machine behind whom nobody waits may take all the time that is left."""
        field = self._choosing.field
        last = self._asked == len(field.keys) - 1
        if last and field.breakers.own(field.keys[self._asked]):
            return self._left_ms()
        return min(self._budget.first_ms, self._left_ms())

    def _left_ms(self) -> int:
        if self._due_ms is None:
            return self._budget.total_ms
        return self._due_ms - self._clock.now_ms()
