"""One utterance of the caller on its way to text."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from calls.domain.events import Event, Stage, TranscriptFinal, TranscriptPartial, VoiceFailed
from calls.ports.clock import Clock
from calls.ports.speech import SpeechToText, Transcriber
from calls.providers.cascade.faults import failed
from calls.sessions.deadline import Deadline
from calls.sessions.tasks import Tasks

WAITING_CHUNKS = 3_000
"""A minute of 20 ms frames may wait while the provider's door is still closed."""

Emit = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Ears:
    """Who listens to an utterance, and where what is understood goes.

    `context` is what the agent said last.
    """

    stt: SpeechToText
    language: str
    context: str
    emit: Emit


class Utterance:
    """Takes sound, and after `commit` gives exactly one `TranscriptFinal` or `VoiceFailed`.

    What utterances say comes out in the order of the utterances: this one is silent until the one
    before it is `settled`.
    """

    def __init__(self, clock: Clock, deadline_ms: int, before: asyncio.Event) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_CHUNKS + 1)
        self._deadline = Deadline(clock)
        self._deadline_ms = deadline_ms
        self._before = before
        self._committed = asyncio.Event()
        self.settled = asyncio.Event()

    def feed(self, pcm: bytes) -> None:
        """Take the next sound; what is too much is dropped."""
        if self._chunks.qsize() < WAITING_CHUNKS:
            self._chunks.put_nowait(pcm)

    def commit(self) -> None:
        """The utterance is complete; from here on the provider's time counts."""
        self._chunks.put_nowait(None)
        self._committed.set()
        self._deadline.start(self._deadline_ms)

    async def run(self, ears: Ears, tasks: Tasks) -> None:
        """Live through the utterance, from its first sound to its last event."""
        try:
            outcome = await self._outcome(ears, tasks)
            await self._committed.wait()
            await self._before.wait()
            await ears.emit(outcome)
        finally:
            self._deadline.stop()
            self.settled.set()

    async def _outcome(self, ears: Ears, tasks: Tasks) -> TranscriptFinal | VoiceFailed:
        said = ears.stt.utterance
        try:
            async with (
                self._deadline,
                said(language=ears.language, context=ears.context) as transcriber,
            ):
                partials = tasks.start(self._tell_partials(transcriber, ears.emit))
                try:
                    text = await self._transcribe(transcriber)
                    provider = ears.stt.name
                finally:
                    partials.cancel()
        except Exception as error:  # noqa: BLE001 - a provider's failure, of whatever kind
            return failed(error, Stage.STT)
        return TranscriptFinal(text=text.strip(), provider=provider)

    async def _transcribe(self, transcriber: Transcriber) -> str:
        while (pcm := await self._chunks.get()) is not None:
            await transcriber.feed(pcm)
        return await transcriber.finish()

    async def _tell_partials(self, transcriber: Transcriber, emit: Emit) -> None:
        """Partials are a courtesy: their failure is `finish`'s to tell."""
        told = ""
        with suppress(Exception):
            async for text in transcriber.partials():
                if text != told and self._before.is_set():
                    told = text
                    await emit(TranscriptPartial(text=text))
