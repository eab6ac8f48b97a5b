"""One utterance on its way through a socket to Scribe, or through two."""

import asyncio
from collections.abc import AsyncIterator, Callable

from calls.domain.audio import CALLER
from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.elevenlabs.faults import fault
from calls.providers.elevenlabs.scribe_socket import ScribeLine

CHUNK_BYTES = CALLER.bytes(100)
KEPT_BYTES = CALLER.bytes(120_000)
"""What a second socket hears of a long utterance is its end."""
SHORTEST_BYTES = CALLER.bytes(100)
"""In less there are no words."""
COMMIT_BYTES = CALLER.bytes(350)
"""Scribe takes no commit of less than 0.3 s."""
PATIENCE_MS = 2_000
"""So much longer is waited for words of which nothing has come yet."""


class _Audio:
    """What the caller said, kept in case the socket is lost."""

    def __init__(self) -> None:
        self.fed_bytes = 0
        self.sent_bytes = 0
        self._kept = bytearray()
        self._at = 0

    def add(self, pcm: bytes) -> None:
        self._kept += pcm
        self.fed_bytes += len(pcm)
        if (surplus := len(self._kept) - KEPT_BYTES) > 0:
            del self._kept[:surplus]
            self._at = max(0, self._at - surplus)

    def restart(self) -> None:
        """A new socket has heard nothing."""
        self._at = 0
        self.sent_bytes = 0

    def due(self, *, complete: bool) -> bytes:
        """What to send next: full chunks, and the rest once the utterance is complete."""
        chunk = bytes(self._kept[self._at : self._at + CHUNK_BYTES])
        if len(chunk) < CHUNK_BYTES and not complete:
            return b""
        self._at += len(chunk)
        self.sent_bytes += len(chunk)
        return chunk

    def padding(self) -> bytes:
        """The silence without which a commit would be throttled."""
        silence = bytes(max(0, COMMIT_BYTES - self.sent_bytes))
        self.sent_bytes += len(silence)
        return silence


class ScribeUtterance:
    """A `Transcriber`; whoever owns sockets lets it `use` one.

    Attributes:
        sent_ms: of audio, silence that was added and what was sent twice included.
    """

    def __init__(self, clock: Clock, final_wait_ms: int, context: str) -> None:
        self._clock = clock
        self._final_wait_ms = final_wait_ms
        self._patient = False
        self._context = context
        self._audio = _Audio()
        self._sent_before_ms = 0
        self._complete = False
        self._committing = False
        self._unasked = False
        self._line: ScribeLine | None = None
        self._settled = False
        self._error: ProviderError | None = None
        self._begun = ""
        self._text = ""
        self._work = asyncio.Event()
        self._news = asyncio.Event()
        self._forget: Callable[[], None] = lambda: None

    @property
    def request_id(self) -> str:
        """The session that heard it last."""
        return self._line.session_id if self._line is not None else ""

    @property
    def sent_ms(self) -> int:
        return self._sent_before_ms + CALLER.ms_of(self._audio.sent_bytes)

    async def feed(self, pcm: bytes) -> None:
        self._audio.add(pcm)
        self._work.set()

    async def finish(self) -> str:
        self._complete = True
        if self._audio.fed_bytes < SHORTEST_BYTES:
            self._settle("")
        self._limit()
        self._work.set()
        while not self._settled:
            self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error
        return self._text

    async def partials(self) -> AsyncIterator[str]:
        told = ""
        while not self._settled:
            if self._text != told:
                told = self._text
                yield told
                continue
            self._news.clear()
            await self._news.wait()

    def leave(self) -> None:
        """Nobody listens any more."""
        self._settled = True
        self._forget()
        self._news.set()

    async def use(self, line: ScribeLine) -> bool:
        """Be heard through this socket; whether it takes another one."""
        first, self._line = self._line is None, line
        self._sent_before_ms = self.sent_ms
        self._audio.restart()
        self._committing, self._unasked, self._begun = False, False, ""
        line.listener = self
        self._limit()
        await self._converse(line)
        self._forget()
        if self._settled or (line.again and first):
            return not self._settled
        self._fail(line.error or fault(ProviderFault.UNAVAILABLE, stage=Stage.STT))
        return False

    def partial(self, text: str) -> None:
        # Before anything was sent it can only be a straggler of the utterance before.
        if self._audio.sent_bytes and not self._settled:
            self._text = _joined(self._begun, text)
            self._news.set()

    def committed(self, text: str) -> None:
        """The answer to our commit, or part of a very long utterance, told of unasked."""
        assert self._line is not None
        if not self._audio.sent_bytes or self._settled:
            return
        self._begun = _joined(self._begun, text)
        if not self._committing:
            self._unasked = True
            self._text = self._begun
            self._news.set()
            return
        # Whether this answers our commit or one of the server's own that crossed it, nobody knows.
        self._line.unanswered = self._unasked
        self._settle(self._begun)

    def nothing(self) -> None:
        self._settle("")

    def changed(self) -> None:
        self._limit()
        self._work.set()

    async def _converse(self, line: ScribeLine) -> None:
        while not (self._settled or line.over):
            self._work.clear()
            if line.is_open:
                await self._send(line)
            await self._work.wait()

    async def _send(self, line: ScribeLine) -> None:
        while pcm := self._audio.due(complete=self._complete):
            await line.send(pcm, context=self._context)
            if line.over or self._settled:
                return
        if self._complete and not self._committing:
            self._committing = True
            await line.send(self._audio.padding(), commit=True)

    def _limit(self) -> None:
        """From here on the final text has its time, if all that it takes is there."""
        self._forget()
        if self._complete and self._line is not None and self._line.is_open and not self._settled:
            due_ms = self._clock.now_ms() + self._final_wait_ms
            self._forget = self._clock.call_at(due_ms, self._too_late)

    def _too_late(self) -> None:
        """What was understood so far has to do; where that is nothing, it is worth some more."""
        if self._text:
            self._settle(self._text)
        elif self._patient:
            self._fail(fault(ProviderFault.TIMEOUT, stage=Stage.STT))
        else:
            self._patient = True
            due_ms = self._clock.now_ms() + PATIENCE_MS
            self._forget = self._clock.call_at(due_ms, self._too_late)

    def _settle(self, text: str) -> None:
        if not self._settled:
            self._text, self._settled = text, True
            self._forget()
            self._news.set()
            self._work.set()

    def _fail(self, error: ProviderError) -> None:
        if not self._settled:
            self._error = error
            self._settle("")


def _joined(begun: str, text: str) -> str:
    return f"{begun} {text}".strip()
