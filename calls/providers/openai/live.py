"""Transcription by OpenAI while the caller speaks."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderFault
from calls.ports.usage import note
from calls.providers.openai.address import Server
from calls.providers.openai.faults import fault
from calls.providers.openai.live_line import HANDLED_EVENTS, LiveLine
from calls.providers.openai.live_utterance import LiveUtterance
from calls.providers.openai.realtime_events import KNOWN_EVENTS, realtime_address
from calls.providers.openai.realtime_line import CallTasks, RealtimeLine

IGNORED_EVENTS = KNOWN_EVENTS - HANDLED_EVENTS

__all__ = ["HANDLED_EVENTS", "IGNORED_EVENTS", "LiveTranscription"]

MODEL = "gpt-live-transcribe"
FINAL_WAIT_MS = 1500


class LiveTranscription:
    """A `SpeechToText` with a socket of its own; belongs to one call.

    Whose turn it is to speak is never the server's to say: every utterance is committed by us. One
    at a time sends its sound; meanwhile those before it may wait for their text.

    A socket that is lost while it is needed is replaced, and the utterance said again, once.

    Args:
        noise_reduction: "near_field" or "far_field"; empty: none.
        final_wait_ms: so long the text may take once an utterance is committed; then what was
            understood until then counts.
    """

    def __init__(
        self,
        server: Server,
        model: str = MODEL,
        *,
        noise_reduction: str = "",
        final_wait_ms: int = FINAL_WAIT_MS,
        clock: Clock,
    ) -> None:
        self.name = f"{server.provider}:{model}"
        self._address = realtime_address(server, {"intent": "transcription"}, Stage.STT)
        self._model = model
        self._noise_reduction = noise_reduction
        self._final_wait_ms = final_wait_ms
        self._clock = clock
        self._tasks = CallTasks()
        self._line: LiveLine | None = None
        self._turn = asyncio.Lock()
        self._working: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._tasks.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for working in tuple(self._working):
            working.cancel()
        if self._line is not None:
            self._line.socket.close()
        await self._tasks.close()

    def warm(self) -> None:
        """Connect in the background."""
        if self._tasks.entered:
            self._ready()

    @asynccontextmanager
    async def utterance(
        self,
        *,
        language: str,
        context: str = "",  # noqa: ARG002 - these models know no such help
    ) -> AsyncIterator[LiveUtterance]:
        """See `SpeechToText`; `partials` may be read by one task.

        Raises:
            RuntimeError: the service was not entered.
        """
        said = LiveUtterance(self._clock, self._final_wait_ms, language)
        working = self._tasks.start(self._work(said))
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        try:
            yield said
        finally:
            said.leave()
            note(model=self._model, request_id=said.session_id, audio_ms=said.sent_ms)
            _note_usage(said.usage)

    async def _work(self, said: LiveUtterance) -> None:
        """Let it be heard by one socket, and by another one if that is lost."""
        address = self._address
        error = fault(ProviderFault.UNAVAILABLE, provider=address.provider, stage=address.stage)
        try:
            socket = await self._heard(said)
            if socket.again and not said.settled:
                socket = await self._heard(said)
            error = socket.error or error
        finally:
            said.fail(error)

    async def _heard(self, said: LiveUtterance) -> RealtimeLine:
        """Let it be heard by one socket, until it is settled or that is over."""
        await self._turn.acquire()
        line = self._ready()
        line.users.add(said)
        try:
            try:
                await said.pour(line)
            finally:
                self._turn.release()
            await said.wait(line)
        finally:
            line.release(said)
        return line.socket

    def _ready(self) -> LiveLine:
        """The socket for the next utterance, which may still be opening."""
        before = self._line
        if before is not None and before.socket.usable and not before.socket.old:
            return before
        self._line = LiveLine(
            self._address, self._model, self._noise_reduction, self._clock, self._recycle
        )
        if before is not None:
            self._line.language = before.language
            before.retire()
        self._line.begin(self._tasks.start)
        return self._line

    def _recycle(self) -> None:
        """Have another socket before the server ends this one, which finishes what it hears."""
        line = self._line
        if line is not None and line.socket.old and not line.socket.over and self._tasks.entered:
            self._ready()


def _note_usage(usage: Mapping[str, Any]) -> None:
    """What is paid for: tokens or, with other models, time."""
    if usage.get("type") == "duration":
        note(billed_ms=round(1000 * float(usage.get("seconds") or 0)))
        return
    details = usage.get("input_token_details")
    details = details if isinstance(details, Mapping) else {}
    note(
        input_tokens=usage.get("input_tokens"),
        input_audio_tokens=details.get("audio_tokens"),
        output_tokens=usage.get("output_tokens"),
    )
