"""Answers beside the conversation: each by a voice session of its own, and nothing of it kept."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from calls.domain import events as ev
from calls.domain.items import Item
from calls.domain.wishes import Wishes
from calls.ports.client import Aside, AsideAudio, AsideDone, AsideText, AsideTool
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError
from calls.ports.usage import ServiceReport
from calls.ports.voice import SessionChange, VoiceSession
from calls.sessions.deadline import Deadline
from calls.sessions.wishes import object_of

logger = logging.getLogger(__name__)

MOST_ASIDES = 4
"""At a time; each holds connections of its own. One more is refused as busy."""

ASIDE_MS = 120_000
"""The longest answer may take so long to be made; what hangs is not waited for any longer."""

BUSY = "busy"
UNKNOWN = "unavailable"
TIMEOUT = "timeout"
TAKEN = "duplicate"

_ONLY = 1
"""The id of the one answer that such a session gives."""


@dataclass(frozen=True, slots=True)
class AsideSetup:
    """What asides are made with.

    Attributes:
        open_voice: a fresh session like the call's own; None: there are no asides.
        send: to the client; never waits.
        start: begins a task of the call.
        report: takes what a request came to.
    """

    clock: Clock
    open_voice: Callable[[], VoiceSession] | None
    send: Callable[[Aside], None]
    start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    report: Callable[[ServiceReport], None]


class Asides:
    """The answers beside one call's conversation. Whatever becomes of them, the call goes on."""

    def __init__(self, setup: AsideSetup) -> None:
        self._setup = setup
        self._change = SessionChange()
        self._asked: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def configure(self, change: SessionChange) -> None:
        """The call's session is different from now on, and so are those of later asides."""
        given = {field.name: getattr(change, field.name) for field in fields(change)}
        self._change = replace(self._change, **{k: v for k, v in given.items() if v is not None})

    def ask(self, aside_id: str, items: tuple[Item, ...], wishes: Wishes) -> None:
        """Have it made. The last message of it is an `AsideDone`, whatever happens."""
        setup = self._setup
        if setup.open_voice is None:
            setup.send(AsideDone(aside_id, failed=UNKNOWN))
        elif aside_id in self._asked:
            setup.send(AsideDone(aside_id, failed=TAKEN))
        elif len(self._tasks) >= MOST_ASIDES:
            setup.send(AsideDone(aside_id, failed=BUSY))
        else:
            work = self._run(aside_id, setup.open_voice, items, self._with_tools(wishes))
            self._asked[aside_id] = task = setup.start(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def cancel(self, aside_id: str | None) -> None:
        """Nothing more of it is sent, or of any; what is not being made is ignored."""
        wanted = tuple(self._asked) if aside_id is None else (aside_id,)
        for name in wanted:
            if (task := self._asked.pop(name, None)) is not None:
                task.cancel()
                self._setup.send(AsideDone(name, cancelled=True))

    def _with_tools(self, wishes: Wishes) -> Wishes:
        """Nobody but the client answers tools here, so that it is offered no others."""
        if wishes.tools is not None:
            return wishes
        return replace(wishes, tools=tuple(map(object_of, self._change.tools or ())))

    async def _run(
        self,
        aside_id: str,
        open_voice: Callable[[], VoiceSession],
        items: tuple[Item, ...],
        wishes: Wishes,
    ) -> None:
        # Whoever was cancelled, and has its id taken by another, says nothing more.
        task = asyncio.current_task()

        def send(message: Aside) -> None:
            if self._asked.get(aside_id) is task:
                self._setup.send(message)

        failed = await self._answer(partial(_messages, aside_id, send), open_voice, items, wishes)
        send(AsideDone(aside_id, failed=failed))
        if self._asked.get(aside_id) is task:
            del self._asked[aside_id]

    async def _answer(
        self,
        tell: Callable[[ev.Event], None],
        open_voice: Callable[[], VoiceSession],
        items: tuple[Item, ...],
        wishes: Wishes,
    ) -> str:
        """Make it; returns what went wrong."""
        try:
            async with Deadline(self._setup.clock) as deadline:
                deadline.start(ASIDE_MS)
                voice = open_voice()
                voice.report_to(lambda report, _response_id: self._setup.report(report))
                async with voice:
                    await voice.configure(self._change)
                    allowed = bool(wishes.tools)
                    await voice.respond(_ONLY, items, tools_allowed=allowed, wishes=wishes)
                    return await _told(voice, tell)
        except TimeoutError:
            return TIMEOUT
        except ProviderError as failure:
            return failure.kind.value
        except Exception as error:  # noqa: BLE001 - beside the call; it must not end because of it
            logger.error("an aside failed", extra={"error": type(error).__name__})  # noqa: TRY400
            return UNKNOWN


async def _told(voice: VoiceSession, tell: Callable[[ev.Event], None]) -> str:
    """Tell all that comes of the answer; returns what went wrong with it."""
    async for event in voice.events():
        match event:
            case ev.ResponseDone(response_id=response_id) if response_id == _ONLY:
                return ""
            case ev.VoiceFailed(response_id=response_id, fatal=fatal, busy=busy):
                if fatal or response_id == _ONLY:
                    return BUSY if busy else UNKNOWN
            case _:
                tell(event)
        # Sound that is there already must not hold up the rest of the process.
        await asyncio.sleep(0)
    return UNKNOWN


def _messages(aside_id: str, send: Callable[[Aside], None], event: ev.Event) -> None:
    match event:
        case ev.ResponseText(text=text):
            send(AsideText(aside_id, text))
        case ev.ResponseAudio(pcm=pcm):
            send(AsideAudio(aside_id, pcm))
        case ev.ToolRequested(tool_call_id=tool_call_id, name=name, arguments=arguments):
            send(AsideTool(aside_id, tool_call_id, name, arguments))
