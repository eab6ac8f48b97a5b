"""Scribe on a socket: it hears the caller while he speaks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

from calls.ports.clock import Clock
from calls.ports.usage import note
from calls.providers.elevenlabs.address import NAME, ElevenLabs
from calls.providers.elevenlabs.scribe_messages import language_code, last_words, realtime_url
from calls.providers.elevenlabs.scribe_socket import ScribeLine
from calls.providers.elevenlabs.scribe_utterance import ScribeUtterance

MODEL = "scribe_v2_realtime"
FINAL_WAIT_MS = 1500


class ScribeLive:
    """Speech to text that is ready when the caller is; belongs to one call.

    It holds one socket at a time, in one language, and opens another when that one is lost, was
    quiet for half a minute, speaks another language, or holds audio of an utterance that nobody
    wants any more. Utterances that overlap wait for each other.

    Args:
        final_wait_ms: so long the text may take once an utterance is complete; then what was
            understood until then counts.
        keyterms: words to listen for, at most fifty of at most twenty characters.
        language: of the socket that `warm` opens before anybody has spoken; without one it waits
            for the first utterance.
    """

    def __init__(
        self,
        address: ElevenLabs,
        model: str = MODEL,
        *,
        clock: Clock,
        final_wait_ms: int = FINAL_WAIT_MS,
        keyterms: tuple[str, ...] = (),
        language: str = "",
    ) -> None:
        self.name = f"{NAME}:{model}"
        self._address = address
        self._model = model
        self._clock = clock
        self._final_wait_ms = final_wait_ms
        self._keyterms = keyterms
        self._language = language_code(language)
        self._line: ScribeLine | None = None
        self._turn = asyncio.Lock()
        self._group: asyncio.TaskGroup | None = None
        self._working: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        group, self._group = self._group, None
        if group is None:
            return
        for working in tuple(self._working):
            working.cancel()
        if self._line is not None:
            self._line.close()
        await group.__aexit__(None, None, None)

    def warm(self) -> None:
        """Connect in the background, unless the language is not known yet."""
        if self._language and self._group is not None and not self._turn.locked():
            self._ready(self._language)

    @asynccontextmanager
    async def utterance(
        self, *, language: str, context: str = ""
    ) -> AsyncIterator[ScribeUtterance]:
        """See `SpeechToText`; `partials` may be read by one task.

        Raises:
            RuntimeError: the service was not entered.
        """
        self._language = code = language_code(language)
        said = ScribeUtterance(self._clock, self._final_wait_ms, last_words(context))
        working = self._start(self._work(said, code))
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        try:
            yield said
        finally:
            said.leave()
            working.cancel()
            note(model=self._model, request_id=said.request_id, audio_ms=said.sent_ms)

    async def _work(self, said: ScribeUtterance, code: str) -> None:
        async with self._turn:
            again = True
            while again:
                line = self._ready(code)
                try:
                    again = await said.use(line)
                finally:
                    self._leave(line)

    def _ready(self, code: str) -> ScribeLine:
        """A socket for that language, which may still be opening."""
        before = self._line
        if before is not None and before.usable(code):
            return before
        if before is not None:
            before.close()
        url = realtime_url(self._address, self._model, code, self._keyterms)
        self._line = ScribeLine(url, self._address.headers, code, self._clock)
        self._line.begin(self._start, before)
        return self._line

    def _leave(self, line: ScribeLine) -> None:
        line.listener = None
        line.used_ms = self._clock.now_ms()
        if line.unanswered and not line.over and self._group is not None:
            # What it still holds would come out with the next utterance.
            self._ready(line.language)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        if self._group is None:
            work.close()
            raise RuntimeError("The service has to be entered first.")
        return self._group.create_task(work)
