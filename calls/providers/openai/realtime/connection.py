"""The socket of a session: opened, lost, opened again."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from calls.ports.errors import FATAL_FAULTS, ProviderError, ProviderFault
from calls.providers.openai.address import Server
from calls.providers.openai.realtime.faults import error_kind, provider_error, socket_error
from calls.sessions.tasks import Tasks
from calls.sockets import JsonSocket, SocketError, json_socket

logger = logging.getLogger(__name__)

CONNECT_S = 5.0
FIRST_RETRY_MS = 500
LONGEST_RETRY_MS = 8_000

WAITING_MESSAGES = 2_000
"""Over a minute of sound that the other side does not take: the socket is given up."""

Message = Mapping[str, Any]


class Listener(Protocol):
    """Whose socket it is. None of these waits."""

    def opening(self) -> Message:
        """The first message on a fresh socket: what the session is to be."""
        ...

    def opened(self) -> None: ...

    def refused(self, fault: ProviderError, began_ms: int) -> None:
        """An attempt that began then has come to nothing."""
        ...

    def came(self, message: dict[str, Any]) -> None: ...

    def lost(self) -> None:
        """What was asked for and has not come will not come."""
        ...


class Connection:
    """Keeps a session with the server while that makes sense.

    A loss is followed by a new try after half a second, then after twice as long each time, up to
    eight; a fault that can only come again ends that.

    Attributes:
        fault: why there is no connection, or was none last.
    """

    def __init__(self, server: Server, model: str, tasks: Tasks) -> None:
        self._server = server
        self._model = model
        self._tasks = tasks
        self._socket: JsonSocket | None = None
        self._outgoing: deque[Message] = deque()
        self._more = asyncio.Event()
        self._tried = asyncio.Event()
        self._worked = False
        self.fault: ProviderError | None = None

    @property
    def up(self) -> bool:
        return self._socket is not None

    @property
    def hopeless(self) -> bool:
        """Whether no further try is made."""
        return self.fault is not None and self.fault.kind in FATAL_FAULTS

    def send(self, *messages: Message) -> None:
        """Have these sent, in order; without a connection they are dropped."""
        if self._socket is None:
            return
        self._outgoing.extend(messages)
        self._more.set()
        if len(self._outgoing) > WAITING_MESSAGES:
            self.renew()

    def renew(self) -> None:
        """Let go of this socket, and open another at once."""
        if (socket := self._socket) is not None:
            self._socket = None
            _ = self._tasks.start(socket.close())

    async def first_try(self) -> None:
        """Wait until the first attempt has come to something, but not for long."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._tried.wait()
        except TimeoutError:
            kind = ProviderFault.TIMEOUT
            self.fault = provider_error(kind, provider=self._server.provider)

    async def run(self, listener: Listener) -> None:
        """Stay connected until that is hopeless."""
        pause_ms = FIRST_RETRY_MS
        while not self.hopeless:
            self._worked = False
            began_ms = self._tasks.clock.now_ms()
            try:
                await self._live(listener)
            except (SocketError, ProviderError) as error:
                fault = self._note(error)
                if not self._worked:
                    listener.refused(fault, began_ms)
            else:
                continue
            finally:
                self._tried.set()
            pause_ms = FIRST_RETRY_MS if self._worked else pause_ms
            if not self.hopeless:
                await self._tasks.clock.sleep(self._pause_ms(pause_ms))
            pause_ms = min(2 * pause_ms, LONGEST_RETRY_MS)

    def _pause_ms(self, least_ms: int) -> int:
        """As long as the server asks for, within reason."""
        asked_ms = self.fault.retry_after_ms if self.fault is not None else None
        return max(least_ms, min(asked_ms or 0, LONGEST_RETRY_MS))

    async def _live(self, listener: Listener) -> None:
        """One socket, from its opening to its loss; returns when it was let go of.

        Raises:
            SocketError: it could not be opened, or was lost.
            ProviderError: the server does not take the session as it is.
        """
        key = self._server.api_key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with json_socket(_url(self._server, self._model), headers=headers) as socket:
            await self._serve(socket, listener)

    async def _serve(self, socket: JsonSocket, listener: Listener) -> None:
        messages = socket.messages()
        await self._begin(socket, messages, listener.opening())
        self._socket, self._worked, self.fault = socket, True, None
        self._outgoing.clear()
        writing = self._tasks.start(self._write(socket))
        try:
            listener.opened()
            self._tried.set()
            async for message in messages:
                listener.came(message)
                # What came in a burst must not keep the loop to itself.
                await asyncio.sleep(0)
        finally:
            self._socket = None
            writing.cancel()
            listener.lost()

    async def _begin(
        self, socket: JsonSocket, messages: AsyncIterator[dict[str, Any]], opening: Message
    ) -> None:
        """Say what the session is to be, and wait until that is agreed."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await socket.send(opening)
                async for message in messages:
                    kind = message.get("type")
                    if kind == "session.updated":
                        return
                    if kind == "error":
                        raise self._error(error_kind(message.get("error")))
        except TimeoutError:
            raise self._error(ProviderFault.TIMEOUT) from None

    async def _write(self, socket: JsonSocket) -> None:
        try:
            while True:
                while self._outgoing:
                    await socket.send(self._outgoing.popleft())
                self._more.clear()
                await self._more.wait()
        except SocketError:
            # Whoever reads the socket learns of it as well, and has more to say.
            self._outgoing.clear()

    def _error(self, kind: ProviderFault) -> ProviderError:
        return provider_error(kind, provider=self._server.provider)

    def _note(self, error: SocketError | ProviderError) -> ProviderError:
        if isinstance(error, SocketError):
            error = socket_error(error, provider=self._server.provider)
        self.fault = error
        extra = {"provider": error.provider, "kind": error.kind.value}
        logger.warning("A realtime session was lost or did not begin.", extra=extra)
        return error


def _url(server: Server, model: str) -> str:
    scheme, _, rest = server.base_url.rstrip("/").partition("://")
    secure = "wss" if scheme == "https" else "ws"
    return f"{secure}://{rest}/realtime?{urlencode({'model': model})}"
