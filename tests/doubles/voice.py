"""A voice session that answers as a test scripts it, and remembers what it was asked."""

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.domain.items import Item
from calls.domain.wishes import AS_USUAL, Wishes
from calls.ports.voice import ReportTaker, SessionChange, VoiceProfile

CHUNK_MS = 100
"""How much sound the session gives at once."""


def ramp(start_ms: int, length_ms: int) -> bytes:
    """Agent sound that says where it lies: every sample of a millisecond is its number."""
    per_ms = AGENT.samples(1)
    return b"".join(
        struct.pack("<h", ms % 30_000 + 1) * per_ms for ms in range(start_ms, start_ms + length_ms)
    )


def milliseconds(pcm: bytes) -> list[int]:
    """Which milliseconds of a response this sound is."""
    step = AGENT.bytes(1)
    return [struct.unpack_from("<h", pcm, at)[0] - 1 for at in range(0, len(pcm), step)]


@dataclass(frozen=True)
class Words:
    """In a script: say this; the sound is as long as the test likes."""

    text: str
    audio_ms: int = 400


@dataclass(frozen=True)
class UseTool:
    """In a script: ask for a tool."""

    name: str
    arguments: str = "{}"
    tool_call_id: str = "t1"


@dataclass
class Wait:
    """In a script: nothing more until the test sets `go`."""

    go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Asked:
    """One thing that the session was asked for, in the port's words."""

    what: str
    response_id: int | None = None
    text: str = ""
    items: tuple[Item, ...] = ()
    tools_allowed: bool = True
    heard_ms: int = 0
    wishes: Wishes = AS_USUAL
    change: SessionChange | None = None


class ScriptedVoice:
    """A `VoiceSession`.

    `hears` holds what the next commits yield: a text, or an event. `answers` holds a script for
    each of the next requests to respond: `Words`, `UseTool`, `Wait`, events (which get the
    response's id), or an exception, which ends the session. Without a script it says "Yes.".
    """

    def __init__(self) -> None:
        self.profile = VoiceProfile(stt="scripted-stt", llm="scripted-llm", tts="scripted-tts")
        self.hears: deque[str | ev.Event] = deque()
        self.answers: deque[Iterable[object]] = deque()
        self.settled: list[tuple[int, int]] = []
        self.asked: list[Asked] = []
        self.utterances: list[bytes] = []
        self.holds: list[bool] = []
        self.refuses: Exception | None = None
        self.left = False
        self.spoken_ms_per_text: dict[str, int] = {}
        self._utterance = b""
        self._out: asyncio.Queue[ev.Event | Exception] = asyncio.Queue()
        self._scripts: dict[int, asyncio.Task[None]] = {}
        self._made_ms: dict[int, int] = {}

    def emit(self, event: ev.Event | Exception) -> None:
        """Say this now, whatever was asked; an exception ends the session."""
        self._out.put_nowait(event)

    def whats(self) -> list[str]:
        """The names of all that was asked, but for sound."""
        return [asked.what for asked in self.asked]

    async def __aenter__(self) -> "ScriptedVoice":
        if self.refuses is not None:
            raise self.refuses
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._scripts.values():
            task.cancel()
        self.left = True

    async def listen(self, pcm: bytes) -> None:
        self._utterance += pcm

    async def commit(self) -> None:
        self.asked.append(Asked("commit"))
        self._end_utterance()
        heard = self.hears.popleft() if self.hears else ""
        self.emit(
            ev.TranscriptFinal(text=heard, provider=self.profile.stt)
            if isinstance(heard, str)
            else heard
        )

    async def discard(self) -> None:
        self.asked.append(Asked("discard"))
        self._end_utterance()

    async def respond(
        self,
        response_id: int,
        items: tuple[Item, ...],
        *,
        tools_allowed: bool,
        wishes: Wishes = AS_USUAL,
    ) -> None:
        self.asked.append(
            Asked("respond", response_id, items=items, tools_allowed=tools_allowed, wishes=wishes)
        )
        script = self.answers.popleft() if self.answers else (Words("Yes."),)
        self._begin(response_id, script)

    async def configure(self, change: SessionChange) -> None:
        self.asked.append(Asked("configure", change=change))

    async def say(self, response_id: int, text: str) -> None:
        self.asked.append(Asked("say", response_id, text=text))
        self._begin(response_id, (Words(text, self.spoken_ms_per_text.get(text, 400)),))

    async def cancel(self, response_id: int, heard_ms: int) -> None:
        self.asked.append(Asked("cancel", response_id, heard_ms=heard_ms))
        if (task := self._scripts.pop(response_id, None)) is not None:
            task.cancel()

    async def settle(self, response_id: int, heard_ms: int) -> None:
        self.settled.append((response_id, heard_ms))

    async def reset(self, system_prompt: str | None) -> None:
        self.asked.append(Asked("reset", text=system_prompt or ""))

    def report_to(self, take: ReportTaker, /) -> None:
        self.report = take

    def hold(self, held: bool, /) -> None:
        self.holds.append(held)

    async def events(self) -> AsyncIterator[ev.Event]:
        while True:
            event = await self._out.get()
            if isinstance(event, Exception):
                raise event
            yield event

    def _end_utterance(self) -> None:
        self.utterances.append(self._utterance)
        self._utterance = b""

    def _begin(self, response_id: int, script: Iterable[object]) -> None:
        loop = asyncio.get_running_loop()
        self._scripts[response_id] = loop.create_task(self._perform(response_id, script))

    async def _perform(self, response_id: int, script: Iterable[object]) -> None:
        for step in script:
            match step:
                case Words(text, audio_ms):
                    self._say(response_id, text, audio_ms)
                case UseTool(name, arguments, tool_call_id):
                    self.emit(
                        ev.ToolRequested(
                            response_id=response_id,
                            tool_call_id=tool_call_id,
                            name=name,
                            arguments=arguments,
                        )
                    )
                case Wait(go):
                    await go.wait()
                case Exception():
                    self.emit(step)
                    return
                case _:
                    self.emit(_of_response(step, response_id))
        self.emit(ev.ResponseDone(response_id=response_id))

    def _say(self, response_id: int, text: str, audio_ms: int) -> None:
        self.emit(ev.ResponseText(response_id=response_id, text=text, provider="scripted-llm"))
        made_ms = self._made_ms.get(response_id, 0)
        self._made_ms[response_id] = made_ms + audio_ms
        for start_ms in range(made_ms, made_ms + audio_ms, CHUNK_MS):
            length_ms = min(CHUNK_MS, made_ms + audio_ms - start_ms)
            self.emit(
                ev.ResponseAudio(
                    response_id=response_id,
                    pcm=ramp(start_ms, length_ms),
                    provider="scripted-tts",
                )
            )


def _of_response(step: Any, response_id: int) -> ev.Event:
    return replace(step, response_id=response_id)
