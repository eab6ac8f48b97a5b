"""Speech services that do what a test scripts, and remember what was asked of them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from calls.domain.audio import AGENT
from calls.domain.items import Mark
from calls.ports.speech import Answer, Prompt, SpokenAudio, TextDelta
from calls.ports.usage import note

MS_PER_CHAR = 60
CHUNK_MS = 60


class Stall:
    """In a script: say nothing until the task is cancelled."""


@dataclass
class Pause:
    """In a script: say nothing until the test sets `go`."""

    go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Partial:
    """In a recogniser's script: understood so far, as soon as there is any sound."""

    text: str


@dataclass(frozen=True)
class Tells:
    """In a script: note this of the request."""

    model: str = ""
    request_id: str = ""
    usage: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class OnFeed:
    """In a recogniser's script: obey this step when sound comes."""

    step: object


class Scoped:
    """Mixed into a double: it is `CallScoped`, and remembers it."""

    entered = warmed = exited = 0
    on_leave: object = None

    async def __aenter__(self) -> object:
        self.entered += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.exited += 1
        await obey(self.on_leave)

    def warm(self) -> None:
        self.warmed += 1


async def obey(step: object) -> None:
    """Perform a step that is no output: raise it, or wait for it."""
    if isinstance(step, BaseException):
        raise step
    if isinstance(step, Stall):
        await asyncio.Event().wait()
    if isinstance(step, Pause):
        await step.go.wait()
    if isinstance(step, Tells):
        note(model=step.model, request_id=step.request_id, **step.usage)


@dataclass
class Heard:
    """An utterance as the recogniser got it."""

    language: str
    context: str
    script: deque[object]
    pcm: bytes = b""
    finished: bool = False
    left: bool = False
    partial: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def feed(self, pcm: bytes) -> None:
        self.pcm += pcm
        while self.script and isinstance(self.script[0], Partial):
            self.partial.put_nowait(self.script.popleft().text)
        if self.script and isinstance(self.script[0], OnFeed):
            await obey(self.script.popleft().step)

    async def finish(self) -> str:
        self.finished = True
        for step in self.script:
            if isinstance(step, str):
                return step
            await obey(step)
        return ""

    async def partials(self) -> AsyncIterator[str]:
        while True:
            yield await self.partial.get()


class ScriptedRecogniser:
    """Each utterance takes the next script: exceptions, pauses, and what was understood."""

    name = "scripted-stt"

    def __init__(self) -> None:
        self.scripts: deque[Iterable[object]] = deque()
        self.utterances: list[Heard] = []
        self.on_entry: deque[object] = deque()
        self.on_exit: deque[object] = deque()

    @asynccontextmanager
    async def utterance(self, *, language: str, context: str = "") -> AsyncIterator[Heard]:
        script = deque(self.scripts.popleft() if self.scripts else ())
        heard = Heard(language, context, script)
        self.utterances.append(heard)
        try:
            await obey(self.on_entry.popleft() if self.on_entry else None)
            yield heard
        finally:
            heard.left = True
            await obey(self.on_exit.popleft() if self.on_exit else None)


@dataclass
class Asked:
    """A prompt, and whether its answer was let go of."""

    prompt: Prompt
    left: bool = False


class ScriptedModel:
    """Each prompt takes the next script: texts, answer parts, exceptions, pauses."""

    name = "scripted-llm"

    def __init__(self) -> None:
        self.scripts: deque[Iterable[object]] = deque()
        self.asked: list[Asked] = []
        self.on_entry: deque[object] = deque()
        self.on_exit: deque[object] = deque()

    @asynccontextmanager
    async def answer(self, prompt: Prompt) -> AsyncIterator[AsyncIterator[Answer]]:
        asked = Asked(prompt)
        self.asked.append(asked)
        try:
            await obey(self.on_entry.popleft() if self.on_entry else None)
            yield self._answers(self.scripts.popleft() if self.scripts else ())
        finally:
            asked.left = True
            await obey(self.on_exit.popleft() if self.on_exit else None)

    async def _answers(self, script: Iterable[object]) -> AsyncIterator[Answer]:
        for step in script:
            await obey(step)
            if isinstance(step, str):
                yield TextDelta(step)
            elif not isinstance(step, Pause | Tells):
                yield step


@dataclass
class Voiced:
    """A text that was given to the voice, and how far that came."""

    text: str
    language: str
    voice: str
    speed: float
    left: bool = False


class ScriptedVoice:
    """A tone of 60 ms a character, with a mark at every word; scripts come before the sound.

    `scripts` maps a part of a text to the steps to obey before its first chunk (False) or after
    it (True).
    """

    name = "scripted-tts"

    def __init__(self) -> None:
        self.spoken: list[Voiced] = []
        self.before: dict[str, object] = {}
        self.after_first: dict[str, object] = {}
        self.on_exit: dict[str, object] = {}

    @asynccontextmanager
    async def speak(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        voiced = Voiced(text, language, voice, speed)
        self.spoken.append(voiced)
        try:
            yield self._sound(text)
        finally:
            voiced.left = True
            await _scripted(self.on_exit, text)

    async def _sound(self, text: str) -> AsyncIterator[SpokenAudio]:
        await _scripted(self.before, text)
        marks = [
            Mark(at, at * MS_PER_CHAR)
            for at in range(1, len(text) + 1)
            if text[at - 1] != " " and text[at : at + 1] in ("", " ")
        ]
        for start_ms in range(0, len(text) * MS_PER_CHAR, CHUNK_MS):
            here = [mark for mark in marks if start_ms < mark.at_ms <= start_ms + CHUNK_MS]
            yield SpokenAudio(b"\x01\x02" * AGENT.samples(CHUNK_MS), tuple(here))
            if start_ms == 0:
                await _scripted(self.after_first, text)


async def _scripted(scripts: dict[str, object], text: str) -> None:
    for part, step in scripts.items():
        if part in text:
            await obey(step)
