"""The socket to Scribe that a call keeps from one utterance to the next."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.elevenlabs.faults import event_error, socket_error
from calls.providers.elevenlabs.scribe_messages import (
    ERRORS,
    NOTHING,
    TIME_LIMIT,
    audio_chunk,
    text_of,
)
from calls.sockets import JsonSocket, SocketError, json_socket

IDLE_MS = 30_000
"""A socket that was quiet for so long is not trusted any more: silence is paid for, so none is
sent to keep it."""

logger = logging.getLogger(__name__)

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Listener(Protocol):
    """The utterance that a socket is used for."""

    def partial(self, text: str) -> None: ...

    def committed(self, text: str) -> None: ...

    def nothing(self) -> None:
        """The commit was answered, but there was nothing to understand."""
        ...

    def changed(self) -> None:
        """The socket has opened, or is over."""
        ...


class ScribeLine:
    """One socket, in one language.

    Attributes:
        is_open: it has opened; stays true once it is over.
        over: it is of no further use.
        error: why; None while it is not over, and when we closed it.
        again: another socket may well do better.
        unanswered: it holds audio whose text has not come, and would come out with the next.
        listener: who hears what comes.
        used_ms: when it was used last, on the call's clock.
    """

    def __init__(self, url: str, headers: Mapping[str, str], language: str, clock: Clock) -> None:
        self.language = language
        self.session_id = ""
        self.is_open = False
        self.over = False
        self.error: ProviderError | None = None
        self.again = False
        self.unanswered = False
        self.listener: Listener | None = None
        self.used_ms = clock.now_ms()
        self.gone = asyncio.Event()
        self._url = url
        self._headers = headers
        self._clock = clock
        self._fresh = True
        self._socket: JsonSocket | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, start: Start, after: "ScribeLine | None") -> None:
        """Open in the background, once the socket before is gone: a call holds one at a time."""
        self._task = start(self._run(after))

    def close(self) -> None:
        """Be over now, gone within half a second; idempotent."""
        if not self.over:
            self.over = True
            assert self._task is not None
            # Only once: a second cancellation would break off the closing handshake.
            self._task.cancel()
            # A task that never ran has no end of its own.
            self._task.add_done_callback(lambda _: self.gone.set())

    def usable(self, language: str) -> bool:
        """Whether the next utterance may use it."""
        idle_ms = self._clock.now_ms() - self.used_ms
        fits = self.language == language and not self.over and not self.unanswered
        lives = self._socket is None or self._socket.usable
        return fits and lives and (not self.is_open or idle_ms < IDLE_MS)

    async def send(self, pcm: bytes, *, commit: bool = False, context: str = "") -> None:
        """Send audio; `context` goes along if it is the first. A lost socket tells its listener."""
        assert self._socket is not None
        message = audio_chunk(pcm, commit=commit, previous_text=context if self._fresh else "")
        self._fresh = False
        self.unanswered = True
        try:
            await self._socket.send(message)
        except SocketError as error:
            self._lost(error)

    def _lost(self, error: SocketError) -> None:
        failure = socket_error(error, stage=Stage.STT)
        self._end(failure, again=failure.kind is ProviderFault.UNAVAILABLE)

    def _end(self, error: ProviderError | None, *, again: bool = False) -> None:
        if not self.over:
            self.over, self.error, self.again = True, error, again
            self._tell()

    def _tell(self) -> None:
        if self.listener is not None:
            self.listener.changed()

    async def _run(self, after: "ScribeLine | None") -> None:
        try:
            if after is not None:
                await after.gone.wait()
            async with json_socket(self._url, headers=self._headers) as self._socket:
                self.is_open, self.used_ms = True, self._clock.now_ms()
                self._tell()
                await self._read(self._socket)
        except SocketError as error:
            self._lost(error)
        finally:
            self._end(None)
            self.gone.set()

    async def _read(self, socket: JsonSocket) -> None:
        """Take what comes until the socket is over. What goes wrong stays within."""
        try:
            async for message in socket.messages():
                self._take(message)
                if self.over:
                    return
        except SocketError as error:
            self._lost(error)

    def _take(self, message: Mapping[str, Any]) -> None:
        kind = str(message.get("message_type"))
        if kind == "session_started":
            self.session_id = str(message.get("session_id") or "")
        elif kind == "warning":
            logger.warning("Scribe sent a warning.")
        elif kind in NOTHING:
            logger.warning("Scribe understood nothing.", extra={"kind": kind})
            if self.listener is not None:
                self.listener.nothing()
        elif kind in ERRORS or "error" in message:
            error = event_error(kind, stage=Stage.STT, request_id=self.session_id)
            self._end(error, again=kind == TIME_LIMIT)
        elif self.listener is not None:
            self._tell_text(kind, text_of(message), self.listener)

    def _tell_text(self, kind: str, text: str, listener: Listener) -> None:
        if kind == "partial_transcript":
            listener.partial(text)
        elif kind == "committed_transcript":
            listener.committed(text)
