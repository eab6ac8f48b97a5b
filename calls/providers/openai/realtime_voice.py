"""A voice by a realtime model: every text is a response of its own, beside any conversation."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, Self

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.speech import SpokenAudio
from calls.ports.usage import note
from calls.providers.openai.address import Server
from calls.providers.openai.realtime_events import KNOWN_EVENTS, realtime_address
from calls.providers.openai.realtime_line import CallTasks
from calls.providers.openai.voice_line import HANDLED_EVENTS, Manner, VoiceLine
from calls.providers.openai.voice_reading import Reading

IGNORED_EVENTS = KNOWN_EVENTS - HANDLED_EVENTS

__all__ = ["HANDLED_EVENTS", "IGNORED_EVENTS", "RealtimeVoice"]

USAGE_WAIT_S = 0.2
"""So long a text that is left early waits to be told what it cost."""

SILENT_MS = 1_000
"""A session that says so long nothing, not even that a text was stopped, is not trusted."""


class RealtimeVoice:
    """A `TextToSpeech` with a socket of its own; belongs to one call.

    Texts may be read in parallel. A session keeps the voice and the pace with which it has spoken:
    for others there is another one. The model may reword a text: much of that is noted as
    `reworded`, and marks go only as far as the words are those of the text.

    Args:
        silent_ms: a session that says so long nothing of a text that is left is replaced.
    """

    def __init__(
        self, server: Server, model: str, *, clock: Clock, silent_ms: int = SILENT_MS
    ) -> None:
        self.name = f"{server.provider}:{model}"
        self._address = realtime_address(server, {"model": model}, Stage.TTS)
        self._model = model
        self._clock = clock
        self._silent_ms = silent_ms
        self._tasks = CallTasks()
        self._lines: set[VoiceLine] = set()
        self._line: VoiceLine | None = None
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        await self._tasks.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for line in tuple(self._lines):
            line.socket.close()
        await self._tasks.close()

    def warm(self) -> None:
        """Connect in the background."""
        if self._tasks.entered:
            self._ready(self._line.manner if self._line is not None else Manner())

    @asynccontextmanager
    async def speak(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        """See `TextToSpeech`.

        Raises:
            RuntimeError: the service was not entered.
        """
        line = self._ready(Manner(voice, speed).clamped())
        reading = Reading(f"piece-{next(self._numbers)}", text)
        line.add(reading)
        try:
            await line.ask(reading, language)
            yield reading.chunks()
        finally:
            try:
                await self._leave(line, reading)
            finally:
                line.remove(reading)
                note(model=self._model, request_id=reading.response_id)
                _note_usage(reading)

    async def _leave(self, line: VoiceLine, reading: Reading) -> None:
        """Have the server stop, if it has not yet, and say what that cost."""
        reading.unwanted = True
        if reading.over or not reading.asked:
            return
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(USAGE_WAIT_S):
                    if reading.response_id:
                        await line.cancel(reading)
                    await reading.ended()
        finally:
            self._distrust(line, reading)

    def _distrust(self, line: VoiceLine, left: Reading) -> None:
        """A session that has gone silent may stay so: the next text gets another one."""
        if not left.over and line.silent_ms >= self._silent_ms:
            line.socket.age()

    def _ready(self, manner: Manner) -> VoiceLine:
        """A socket that speaks so, which may still be opening."""
        line = self._line
        if line is not None and line.socket.usable and not line.socket.old:
            if not line.asked:
                line.manner = manner
            if line.manner == manner:
                return line
        return self._opened(manner)

    def _opened(self, manner: Manner) -> VoiceLine:
        before = self._line
        self._lines = {line for line in self._lines if not line.socket.over}
        self._line = VoiceLine(
            self._address, self._clock, manner, start=self._tasks.start, aged=self._recycle
        )
        self._lines.add(self._line)
        if before is not None:
            before.retire()
        return self._line

    def _recycle(self) -> None:
        """Have another socket before the server ends this one, which finishes what it reads."""
        line = self._line
        if line is not None and line.socket.old and not line.socket.over and self._tasks.entered:
            self._opened(line.manner)


def _note_usage(reading: Reading) -> None:
    usage = reading.usage
    heard, spoken = _details(usage, "input_token_details"), _details(usage, "output_token_details")
    note(
        input_tokens=usage.get("input_tokens"),
        cached_tokens=heard.get("cached_tokens"),
        input_audio_tokens=heard.get("audio_tokens"),
        output_tokens=usage.get("output_tokens"),
        output_audio_tokens=spoken.get("audio_tokens"),
        reworded=1 if reading.reworded else None,
    )


def _details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    details = usage.get(name)
    return details if isinstance(details, Mapping) else {}
