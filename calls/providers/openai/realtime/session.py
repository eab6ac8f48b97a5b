"""OpenAI Realtime: one model that hears and speaks, as a voice session."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Self

from calls.domain.events import Event, Stage
from calls.domain.items import Item
from calls.domain.wishes import AS_USUAL, Wishes
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError
from calls.ports.speech import CallScoped, TextToSpeech
from calls.ports.voice import ReportTaker, SessionChange, VoiceProfile
from calls.providers.openai.address import Server
from calls.providers.openai.realtime import aloud, asking, hearing
from calls.providers.openai.realtime.aloud import Aloud
from calls.providers.openai.realtime.answers import Answers
from calls.providers.openai.realtime.asking import Asking
from calls.providers.openai.realtime.changing import changed, updates, wanted_of
from calls.providers.openai.realtime.connection import Connection
from calls.providers.openai.realtime.desk import Desk, Request
from calls.providers.openai.realtime.hearing import Hearing
from calls.providers.openai.realtime.history import History
from calls.providers.openai.realtime.messages import Message, current_name
from calls.providers.openai.realtime.outlet import Outlet
from calls.providers.openai.realtime.settings import (
    RealtimeSettings,
    instructions_update,
    session_update,
)
from calls.providers.openai.realtime.utterance import Utterance
from calls.sessions.tasks import Tasks
from calls.sessions.wishes import after_tools

logger = logging.getLogger(__name__)

RENEW_CHECK_MS = 1_000
SOUND = "response.output_audio.delta"


class RealtimeSession:
    """`VoiceSession` says what its methods promise; none of them waits for the provider.

    Without a connection the session lives on, and tries to get one: what the caller says is kept
    for it, answers fail at once, and given words are said by another voice.

    Args:
        apology_voice: says given words when the model cannot; None: they are text alone, and a
            session that cannot even begin raises.
    """

    def __init__(
        self,
        server: Server,
        settings: RealtimeSettings,
        *,
        profile: VoiceProfile,
        clock: Clock,
        apology_voice: TextToSpeech | None,
    ) -> None:
        self.profile = profile
        self._began_ms = clock.now_ms()
        self._voice = apology_voice
        self._entered = AsyncExitStack()
        self._tasks = Tasks(clock)
        self._connection = Connection(server, settings.model, self._tasks)
        self._desk = Desk(settings, server.provider, clock, self._connection, Outlet())
        self._history = History()
        self._answers = Answers(self._desk, self._history)
        self._aloud = Aloud(self._desk, self._history, self._tasks, apology_voice)
        self._hearing = Hearing(self._desk, self, lambda: clock.now_ms() - self._began_ms)
        self._handlers = _handlers(self._hearing, self._answers.asking, self._aloud)
        self._stop_renewing: Callable[[], None] = lambda: None
        self._leaving = False
        self._limit = settings.max_output_tokens
        self._spoken = False
        """Whether this connection has made sound; its voice is frozen then."""

    async def __aenter__(self) -> Self:
        voice: object = self._voice
        if isinstance(voice, CallScoped):
            await self._entered.enter_async_context(voice)
        await self._tasks.open()
        _ = self._tasks.start(self._connection.run(self))
        try:
            await self._connection.first_try()
        except BaseException:
            await self.__aexit__()
            raise
        if self._connection.hopeless and self._voice is None:
            await self.__aexit__()
            assert self._connection.fault is not None
            raise self._connection.fault
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._leaving = True
        self._stop_renewing()
        self._desk.outlet.close()
        try:
            await self._tasks.close()
        finally:
            await self._entered.aclose()

    # VoiceSession

    async def listen(self, pcm: bytes) -> None:
        self._hearing.listen(pcm)

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
        self._hearing.drop_unheeded()
        wanted = wanted_of(
            self._desk.settings,
            wishes,
            tools_allowed=tools_allowed,
            after_tools=after_tools(items),
        )
        self._answers.respond(response_id, items, wanted)

    async def configure(self, change: SessionChange) -> None:
        """A session that is rebuilt is told all of it when it begins."""
        old = self._desk.settings
        new = changed(old, change, limit=self._limit, spoken=self._spoken)
        self._desk.settings = new
        if messages := updates(old, new):
            self._answers.drop_begun()
            self._connection.send(*messages)

    async def say(self, response_id: int, text: str) -> None:
        self._answers.drop_begun()
        self._aloud.say(response_id, text)

    async def cancel(self, response_id: int, heard_ms: int) -> None:  # noqa: ARG002 - not final
        self._answers.cancel(response_id)
        self._aloud.cancel(response_id)

    async def settle(self, response_id: int, heard_ms: int) -> None:
        self._answers.settle(response_id, heard_ms)
        self._aloud.settle(response_id, heard_ms)

    async def reset(self, system_prompt: str | None) -> None:
        self._answers.forget_all()
        if system_prompt is not None:
            self._desk.settings = replace(self._desk.settings, system_prompt=system_prompt)
            self._connection.send(instructions_update(self._desk.settings))

    def hold(self, held: bool, /) -> None:
        self._desk.outlet.hold(held)

    def report_to(self, take: ReportTaker, /) -> None:
        # A call asks for the reports at the moment from which it counts its time.
        self._began_ms = self._desk.clock.now_ms()
        self._desk.take = take

    def events(self) -> AsyncIterator[Event]:
        return self._desk.outlet.events()

    # What was heard

    def committed(self, utterance: Utterance) -> None:
        self._answers.begin(utterance)

    def understood(self, utterance: Utterance, text: str) -> None:
        if text:
            self._history.heard(utterance.item_id, text)
            return
        self._answers.drop_begun()
        if utterance.item_id:
            self._connection.send(*self._history.delete(utterance.item_id))

    def spoken_again(self) -> None:
        self._answers.drop_begun()

    # The connection

    def opening(self) -> Message:
        return session_update(self._desk.settings)

    def opened(self) -> None:
        self._spoken = False
        self._hearing.opened()
        self._renew_in(self._desk.settings.max_session_ms)

    def refused(self, fault: ProviderError, began_ms: int) -> None:
        began = Request(self._desk, Stage.VOICE, self._desk.settings.model, began_ms)
        began.request_id = fault.request_id
        began.over(fault.kind.value, {})

    def lost(self) -> None:
        self._stop_renewing()
        if self._leaving:
            self._answers.asking.leave()
            self._aloud.leave()
        else:
            self._answers.lost()
            self._aloud.lost()

    def came(self, message: dict[str, Any]) -> None:
        kind = current_name(str(message.get("type")))
        self._spoken = self._spoken or kind == SOUND
        try:
            if kind == "error":
                self._error(message["error"])
            for handle in self._handlers.get(kind, ()):
                handle(message)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            # A message that is not as it should be; the next one may be.
            extra = {"kind": type(error).__name__, "event": kind}
            logger.warning("A realtime message was not understood.", extra=extra)

    def _error(self, error: dict[str, Any]) -> None:
        """Errors of what was asked for end that; others are races that were lost."""
        tag = str(error.get("event_id") or "")
        for refused in (self._answers.asking.refused, self._aloud.refused, self._hearing.refused):
            if refused(tag, error):
                return
        extra = {"code": str(error.get("code"))}
        logger.info("The realtime service took exception to a message.", extra=extra)

    def _renew_in(self, ms: int) -> None:
        self._stop_renewing()
        self._stop_renewing = self._desk.after(ms, self._renew)

    def _renew(self) -> None:
        """Replace a session that is about to get too old, as soon as nothing goes on in it."""
        if self._answers.idle and self._aloud.idle and not self._hearing.busy:
            self._connection.renew()
        else:
            self._renew_in(RENEW_CHECK_MS)


def _handlers(ears: Hearing, mind: Asking, mouth: Aloud) -> dict[str, list[Any]]:
    """Who wants to know of which event."""
    wanted: dict[str, list[Any]] = {}
    parts: tuple[tuple[Any, Mapping[str, Any]], ...] = (
        (ears, hearing.HANDLERS),
        (mind, asking.HANDLERS),
        (mouth, aloud.HANDLERS),
    )
    for part, handlers in parts:
        for kind, handle in handlers.items():
            wanted.setdefault(kind, []).append(partial(handle, part))
    return wanted
