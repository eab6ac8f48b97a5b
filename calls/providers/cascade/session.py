"""Three services as one voice session."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from calls.domain.events import Event
from calls.domain.items import Item
from calls.domain.wishes import AS_USUAL, Wishes
from calls.ports.clock import Clock
from calls.ports.speech import CallScoped, Services
from calls.ports.voice import ReportTaker, SessionChange, VoiceProfile
from calls.providers.cascade.answering import Answering
from calls.providers.cascade.hearing import Hearing
from calls.providers.cascade.manner import Manner
from calls.providers.cascade.outbox import Outbox
from calls.providers.cascade.reports import Reports
from calls.providers.cascade.thought import Mind, recite, think
from calls.providers.cascade.voice import Mouth
from calls.sessions.tasks import Tasks

__all__ = ["Cascade", "Deadlines", "Manner"]

CONTEXT_CHARS = 400
"""So much of what the agent said last helps the recogniser."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a provider may be silent before its stage counts as failed.

    `stt_ms` counts from the commit; `llm_ms` and `tts_ms` before the first part of an answer, or
    of a piece's sound, and again between parts. A service that asks several providers needs less:
    otherwise it never comes to the last one.
    """

    stt_ms: int = 10_000
    llm_ms: int = 12_000
    tts_ms: int = 8_000


class Cascade:
    """A voice session out of three services. `VoiceSession` says what its methods promise."""

    def __init__(
        self,
        services: Services,
        manner: Manner,
        *,
        profile: VoiceProfile,
        clock: Clock,
        deadlines: Deadlines | None = None,
    ) -> None:
        limits = deadlines or Deadlines()
        self.profile = profile
        self._manner = manner
        self._mind = Mind(services.llm, clock, limits.llm_ms)
        self._tasks = Tasks(clock)
        self._outbox = Outbox()
        self._services = services
        self._entered = AsyncExitStack()
        self._reports = Reports()
        self._hearing = Hearing(
            services.stt, self._tasks, self._outbox, self._reports, limits.stt_ms
        )
        self._mouths = partial(_mouth, services, clock, limits.tts_ms)
        self._answering = Answering(self._tasks, self._outbox, self._reports)

    async def __aenter__(self) -> Self:
        used = self._services
        services: tuple[object, ...] = (used.stt, used.llm, used.tts)
        for service in services:
            if isinstance(service, CallScoped):
                await self._entered.enter_async_context(service)
                service.warm()
        await self._tasks.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._outbox.close()
        try:
            await self._tasks.close()
        finally:
            await self._entered.aclose()

    async def listen(self, pcm: bytes) -> None:
        context = self._answering.last_words[-CONTEXT_CHARS:]
        self._hearing.feed(pcm, language=self._manner.language, context=context)

    async def commit(self) -> None:
        self._hearing.commit()

    async def discard(self) -> None:
        self._hearing.discard()

    async def respond(
        self,
        response_id: int,
        items: tuple[Item, ...],
        *,
        tools_allowed: bool,
        wishes: Wishes = AS_USUAL,
    ) -> None:
        prompt = self._manner.prompt(items, wishes, tools_allowed=tools_allowed)
        mouth = self._mouths(self._manner, wishes)
        self._answering.begin(response_id, partial(think, self._mind, prompt), mouth)

    async def configure(self, change: SessionChange) -> None:
        """An utterance that goes on keeps its language, an answer that is begun its voice."""
        self._manner = self._manner.changed(change)

    async def say(self, response_id: int, text: str) -> None:
        mouth = self._mouths(self._manner, AS_USUAL)
        self._answering.begin(response_id, partial(recite, text), mouth)

    async def cancel(self, response_id: int, heard_ms: int) -> None:  # noqa: ARG002 - for others
        self._answering.cancel(response_id)

    async def settle(self, response_id: int, heard_ms: int) -> None:
        """Nothing to do: the conversation comes along with every request."""

    async def reset(self, system_prompt: str | None) -> None:
        if system_prompt is not None:
            self._manner = replace(self._manner, system_prompt=system_prompt)

    def hold(self, held: bool, /) -> None:
        self._answering.hold(held)

    def report_to(self, take: ReportTaker, /) -> None:
        self._reports.take = take

    def events(self) -> AsyncIterator[Event]:
        return self._outbox.events()


def _mouth(
    services: Services, clock: Clock, deadline_ms: int, manner: Manner, wishes: Wishes
) -> Mouth | None:
    """What one answer is said with; None: it is text alone."""
    if services.tts is None or manner.silent(wishes):
        return None
    return Mouth(services.tts, manner.language, manner.voice, manner.speed, clock, deadline_ms)
