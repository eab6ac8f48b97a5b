"""One answer on its way out: every piece is shown, then said, before the next begins."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from calls.domain.events import (
    Event,
    ResponseAudio,
    ResponseDirected,
    ResponseDone,
    ResponseNoted,
    ResponseText,
    Stage,
    ToolRequested,
)
from calls.ports.speech import Directed, ToolCallRequested
from calls.providers.cascade.faults import failed
from calls.providers.cascade.speakable import Spoken, speakable
from calls.providers.cascade.thought import End, Note, Piece, Step, Steps
from calls.providers.cascade.voice import Mouth, Synthesis
from calls.sessions.tasks import Tasks

SYNTHESES = 2
"""One piece is given out while the next one is made ahead."""

Emit = Callable[[Event], Awaitable[None]]
Thinking = Callable[[Steps], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A step, with its sound in the making if it is to be heard."""

    step: Step
    synthesis: Synthesis | None = None
    making: asyncio.Task[None] | None = None


class Answer:
    """Gives out the steps of one answer.

    Its last event is `ResponseDone`, or `VoiceFailed` once all the text there is was shown: after
    a failure of the voice the rest of the answer still comes, as text alone.

    Args:
        mouth: None for an answer without sound.
        unheld: set while further pieces may begin.
    """

    def __init__(
        self, response_id: int, mouth: Mouth | None, unheld: asyncio.Event, emit: Emit
    ) -> None:
        self.said = ""
        self._id = response_id
        self._mouth = mouth
        self._unheld = unheld
        self._emit = emit
        self._slots = asyncio.Semaphore(SYNTHESES)
        self._mute: Exception | None = None
        self._helpers: list[asyncio.Task[None]] = []

    async def run(self, thinking: Thinking, tasks: Tasks) -> None:
        """Give out all steps that `thinking` has, while it has them."""
        steps = Steps()
        ready: asyncio.Queue[_Ready] = asyncio.Queue(SYNTHESES)
        self._helpers.append(tasks.start(thinking(steps)))
        self._helpers.append(tasks.start(self._prepare(steps, ready, tasks)))
        try:
            error = await self._give_all(ready)
            await self._emit(self._last(error))
        finally:
            for helper in self._helpers:
                helper.cancel()

    async def _prepare(self, steps: Steps, ready: asyncio.Queue[_Ready], tasks: Tasks) -> None:
        """Begin to make the sound of pieces, no further ahead than there are slots."""
        step: Step | None = None
        in_code = False
        language = self._mouth.language if self._mouth is not None else ""
        while not isinstance(step, End):
            step = await steps.get()
            if isinstance(step, Piece):
                spoken = speakable(step.text, in_code=in_code, language=language)
                in_code = spoken.in_code
                await ready.put(await self._begin(step, spoken, tasks))
            else:
                await ready.put(_Ready(step))

    async def _begin(self, piece: Piece, spoken: Spoken, tasks: Tasks) -> _Ready:
        if self._mouth is None or self._mute or not spoken.audible:
            return _Ready(piece)
        await self._unheld.wait()
        await self._slots.acquire()
        synthesis = Synthesis(spoken)
        making = tasks.start(synthesis.run(self._mouth))
        self._helpers.append(making)
        return _Ready(piece, synthesis, making)

    async def _give_all(self, ready: asyncio.Queue[_Ready]) -> Exception | None:
        while True:
            entry = await ready.get()
            match entry.step:
                case End(error):
                    return error
                case Piece():
                    await self._give(entry.step, entry.synthesis, entry.making)
                case order:
                    await self._emit(self._order(order))

    async def _give(
        self, piece: Piece, synthesis: Synthesis | None, making: asyncio.Task[None] | None
    ) -> None:
        if synthesis is not None and self._mute is None:
            await self._unheld.wait()
        self.said += piece.text
        await self._emit(
            ResponseText(response_id=self._id, text=piece.text, provider=piece.provider)
        )
        if synthesis is None or making is None:
            return
        if self._mute is None:
            await self._sound(synthesis)
        making.cancel()
        self._helpers.remove(making)
        self._slots.release()

    async def _sound(self, synthesis: Synthesis) -> None:
        try:
            async for made in synthesis.chunks():
                await self._emit(
                    ResponseAudio(
                        response_id=self._id,
                        pcm=made.pcm,
                        marks=made.marks,
                        provider=synthesis.provider,
                    )
                )
        except Exception as error:  # noqa: BLE001 - a provider's failure, of whatever kind
            self._mute = error

    def _order(self, order: ToolCallRequested | Directed | Note) -> Event:
        match order:
            case ToolCallRequested(tool_call_id, name, arguments):
                return ToolRequested(
                    response_id=self._id,
                    tool_call_id=tool_call_id,
                    name=name,
                    arguments=arguments,
                )
            case Directed(direction):
                return ResponseDirected(response_id=self._id, direction=direction)
            case Note(metadata):
                return ResponseNoted(response_id=self._id, metadata=metadata)

    def _last(self, thinking_error: Exception | None) -> Event:
        if thinking_error is not None:
            return failed(thinking_error, Stage.LLM, self._id)
        if self._mute is not None:
            return failed(self._mute, Stage.TTS, self._id)
        return ResponseDone(response_id=self._id)
