"""One utterance on its way through a transcription session, or through two."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from calls.audio.resample import Resampler
from calls.domain.audio import CALLER, AudioFormat
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.openai.live_line import LiveLine

SENT = AudioFormat(24_000)
"""What OpenAI hears."""
HEARD_BYTES, LEAST_BYTES = CALLER.bytes(60), SENT.bytes(58)
"""So much is sent at once, at least; the resampler holds a little back."""
MOST_BYTES = SENT.bytes(100)
SHORTEST_BYTES = SENT.bytes(100)
"""The server takes no less."""
PATIENCE_MS = 2_000
"""So much longer is waited for words of which nothing has come yet."""
KEPT_BYTES = SENT.bytes(120_000)
"""What a second session hears of a longer utterance is its end."""


class _Sound:
    """What the caller said, at 24 kHz, kept in case the socket is lost."""

    def __init__(self) -> None:
        self._resampler = Resampler(CALLER.rate_hz, SENT.rate_hz)
        self._heard = bytearray()
        self._kept = bytearray()
        self._at = 0
        self.made_bytes = 0
        self.sent_bytes = 0
        self.complete = False

    def add(self, pcm: bytes) -> None:
        # Making 60 ms at once costs half of what three times 20 ms cost, and less is not sent.
        self._heard += pcm
        if len(self._heard) >= HEARD_BYTES:
            self._make()

    def end(self) -> None:
        self._make()
        self._keep(self._resampler.flush())
        self.complete = True

    def again(self) -> None:
        """A new session has heard nothing."""
        self._at = 0

    def due(self) -> bytes:
        """What to send next; small pieces wait for more, unless there is no more."""
        chunk = bytes(self._kept[self._at : self._at + MOST_BYTES])
        if len(chunk) < LEAST_BYTES and not self.complete:
            return b""
        self._at += len(chunk)
        self.sent_bytes += len(chunk)
        return chunk

    def _make(self) -> None:
        self._keep(self._resampler.feed(bytes(self._heard)))
        self._heard.clear()

    def _keep(self, pcm: bytes) -> None:
        self._kept += pcm
        self.made_bytes += len(pcm)
        if (surplus := len(self._kept) - KEPT_BYTES) > 0:
            del self._kept[:surplus]
            self._at = max(0, self._at - surplus)


class LiveUtterance:
    """A `Transcriber`; whoever owns the sockets lets it `pour` into one and `wait` there.

    Attributes:
        settled: there is nothing more to wait for.
        usage: as the provider told it.
    """

    def __init__(self, clock: Clock, final_wait_ms: int, language: str) -> None:
        self.settled = False
        self.usage: Mapping[str, Any] = {}
        self._clock = clock
        self._final_wait_ms = final_wait_ms
        self._patient = False
        self._language = language
        self._sound = _Sound()
        self._text = ""
        self._error: ProviderError | None = None
        self._line: LiveLine | None = None
        self._work = asyncio.Event()
        self._news = asyncio.Event()
        self._forget: Callable[[], None] = lambda: None

    @property
    def session_id(self) -> str:
        """Of the session that heard it last."""
        return self._line.socket.session_id if self._line is not None else ""

    @property
    def sent_ms(self) -> int:
        """Of sound; what was sent twice counts twice."""
        return SENT.ms_of(self._sound.sent_bytes)

    async def feed(self, pcm: bytes) -> None:
        if not self.settled:
            self._sound.add(pcm)
            self._work.set()

    async def finish(self) -> str:
        self._sound.end()
        if self._sound.made_bytes < SHORTEST_BYTES:
            self._settle("")
        self._work.set()
        while not self.settled:
            self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error
        return self._text.strip()

    async def partials(self) -> AsyncIterator[str]:
        told = ""
        while not self.settled:
            if self._text != told:
                told = self._text
                yield told.strip()
                continue
            self._news.clear()
            await self._news.wait()

    def leave(self) -> None:
        """Nobody listens any more."""
        if not self.settled:
            self._settle("")

    async def pour(self, line: LiveLine) -> None:
        """Send what is said until all of it is there, and commit it.

        What nobody wants any more is taken back.
        """
        self._begin(line)
        poured = False
        while not (self.settled or line.socket.over):
            self._work.clear()
            poured = await self._send(line) or poured
            if self._sound.complete and poured and not self.settled:
                self._limit()
                await line.commit(self)
                return
            await self._work.wait()
        if poured:
            await line.clear()

    async def wait(self, line: LiveLine) -> None:
        """Until it is settled, or the socket over."""
        while not (self.settled or line.socket.over):
            self._work.clear()
            await self._work.wait()
        self._forget()

    def delta(self, text: str) -> None:
        if not self.settled:
            self._text += text
            self._news.set()

    def final(self, text: str, usage: Mapping[str, Any]) -> None:
        self.usage = usage
        self._settle(text)

    def fail(self, error: ProviderError) -> None:
        if not self.settled:
            self._error = error
            self._settle("")

    def changed(self) -> None:
        self._work.set()

    def _begin(self, line: LiveLine) -> None:
        self._line, self._text = line, ""
        self._sound.again()

    async def _send(self, line: LiveLine) -> bool:
        """Send what is due; whether it was anything."""
        sent = False
        while line.socket.is_open and not self.settled and (pcm := self._sound.due()):
            sent = True
            await line.append(self, pcm, self._language)
            if line.socket.over:
                break
        return sent

    def _limit(self) -> None:
        """From here on the text has its time."""
        due_ms = self._clock.now_ms() + self._final_wait_ms
        self._forget = self._clock.call_at(due_ms, self._too_late)

    def _too_late(self) -> None:
        """What was understood so far has to do; where that is nothing, it is worth some more."""
        if self._text.strip():
            self._settle(self._text)
        elif not self._patient:
            self._patient = True
            due_ms = self._clock.now_ms() + PATIENCE_MS
            self._forget = self._clock.call_at(due_ms, self._too_late)
            if self._line is not None:
                # A session that has gone silent may stay so: the next utterance gets another.
                self._line.socket.age()
        elif self._line is not None:
            self.fail(self._line.socket.fault(ProviderFault.TIMEOUT))

    def _settle(self, text: str) -> None:
        if not self.settled:
            self._text, self.settled = text, True
            self._forget()
            self._news.set()
            self._work.set()
