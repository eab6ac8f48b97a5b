"""What an answer is made of before it is spoken: pieces of text and orders, in order."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import override

from calls.ports.clock import Clock
from calls.ports.speech import (
    Answer,
    Directed,
    LanguageModel,
    Noted,
    Prompt,
    TextDelta,
    ToolCallRequested,
)
from calls.sessions.deadline import Deadline
from calls.sessions.sentences import SentenceCutter

WAITING_STEPS = 64
"""So many pieces may lie between what was thought and what is said."""

HIGH_WATER_CHARS = 4_000
LOW_WATER_CHARS = 1_000
"""Above the first no more is taken from the model, until below the second: about four minutes of
speech, and one."""

SETTLE_MS = 250
"""A finished sentence is not held back when the model has been silent for so long."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A speakable piece of text; `provider` is empty for words that no model chose."""

    text: str
    provider: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """The last step."""

    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Metadata of the answer, as a JSON object."""

    metadata: str


Step = Piece | ToolCallRequested | Directed | Note | End


class Steps(asyncio.Queue[Step]):
    """What was thought and not yet prepared to be said, within bounds of pieces and characters."""

    def __init__(self) -> None:
        super().__init__(WAITING_STEPS)
        self._chars = 0
        self._low = asyncio.Event()
        self._low.set()

    @override
    async def put(self, step: Step) -> None:
        await self._low.wait()
        await super().put(step)

    @override
    def _put(self, item: Step) -> None:
        super()._put(item)
        self._count(_chars(item))

    @override
    def _get(self) -> Step:
        item = super()._get()
        self._count(-_chars(item))
        return item

    def _count(self, chars: int) -> None:
        self._chars += chars
        if self._chars >= HIGH_WATER_CHARS:
            self._low.clear()
        elif self._chars <= LOW_WATER_CHARS:
            self._low.set()


def _chars(step: Step) -> int:
    return len(step.text) if isinstance(step, Piece) else 0


@dataclass(frozen=True, slots=True)
class Mind:
    """Who thinks. `deadline_ms` is for the first part of an answer and between its parts."""

    llm: LanguageModel
    clock: Clock
    deadline_ms: int


async def recite(text: str, steps: Steps) -> None:
    """Given words as steps."""
    cutter = SentenceCutter()
    for piece in (*cutter.feed(text), cutter.flush()):
        if piece:
            await steps.put(Piece(piece))
    await steps.put(End())


async def think(mind: Mind, prompt: Prompt, steps: Steps) -> None:
    """The model's answer as steps. A failure is the last step; what is whole goes before it."""
    thought = _Thought(mind, steps)
    try:
        await thought.run(prompt)
    except Exception as error:  # noqa: BLE001 - a provider's failure, of whatever kind
        await thought.give_whole()
        await steps.put(End(error))
    else:
        await steps.put(End())
    finally:
        thought.forget()


class _Thought:
    def __init__(self, mind: Mind, steps: Steps) -> None:
        self._mind = mind
        self._steps = steps
        self._cutter = SentenceCutter()
        self._provider = mind.llm.name
        self.forget: Callable[[], None] = lambda: None

    async def run(self, prompt: Prompt) -> None:
        mind = self._mind
        async with Deadline(mind.clock) as deadline:
            deadline.start(mind.deadline_ms)
            async with mind.llm.answer(prompt) as parts:
                async for part in parts:
                    self._provider = mind.llm.name
                    deadline.stop()
                    self.forget()
                    await self._take(part)
                    self._wait()
                    deadline.start(mind.deadline_ms)
        await self._flush()

    async def give_whole(self) -> None:
        """Nothing more comes: pass on the last sentence if it is whole."""
        self.forget()
        await self._put(self._cutter.settle())

    async def _take(self, part: Answer) -> None:
        match part:
            case TextDelta(text):
                for piece in self._cutter.feed(text):
                    await self._put(piece)
            case ToolCallRequested():
                await self._flush()
                await self._steps.put(part)
            case Directed():
                await self._steps.put(part)
            case Noted(metadata):
                await self._steps.put(Note(json.dumps(dict(metadata))))

    async def _flush(self) -> None:
        self.forget()
        await self._put(self._cutter.flush())

    async def _put(self, piece: str) -> None:
        if piece:
            await self._steps.put(Piece(piece, self._provider))

    def _wait(self) -> None:
        clock = self._mind.clock
        self.forget = clock.call_at(clock.now_ms() + SETTLE_MS, self._settle)

    def _settle(self) -> None:
        if not self._steps.full() and (piece := self._cutter.settle()):
            self._steps.put_nowait(Piece(piece, self._provider))
