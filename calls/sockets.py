"""Client WebSockets that carry JSON, for providers that are spoken to directly."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

WAITING_BYTES = 32 * 1024 * 1024
"""About ten minutes of speech as base64. A reader so far behind will not catch up."""

LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024
CLOSE_S = 0.5


class SocketError(Exception):
    """A socket could not be opened, or is of no further use. Messages never quote the other side.

    Attributes:
        status: of the refused handshake; None once it was open.
        headers: of the refusal, names in lower case.
        body: of the refusal.
        code: WebSocket close code; 1006 when the connection just went. A proper close (1000) that
            we did not ask for is an error too.
        reason: in the other side's words.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        code: int | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body = body
        self.code = code
        self.reason = reason


class SocketTimeoutError(SocketError):
    """It did not open in time."""


class SocketGarbageError(SocketError):
    """What came is no JSON object."""


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Seconds. A dead peer is noticed after `ping_interval_s` and `ping_timeout_s` together."""

    open_timeout_s: float = 5
    ping_interval_s: float = 5
    ping_timeout_s: float = 5


class JsonSocket:
    """An open socket. One task of its own reads it, however slowly the messages are taken.

    Pongs come through the same pipe: a socket that nobody reads is taken for dead.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._waiting: deque[str | bytes] = deque()
        self._waiting_bytes = 0
        self._changed = asyncio.Event()
        self._error: SocketError | None = None
        self._closing = False

    @property
    def usable(self) -> bool:
        """Whether it was neither closed nor lost so far."""
        return self._error is None and not self._closing

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send an object. Waits while the other side takes nothing.

        Raises:
            SocketError: the socket is gone.
        """
        try:
            await self._connection.send(json.dumps(message, separators=(",", ":")))
        except ConnectionClosed as closed:
            raise _lost(closed) from None

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What comes, in order; ends after `close` of ours.

        Raises:
            SocketError: the socket is gone, once everything that came before was given out.
            SocketGarbageError: something that is no JSON object came.
        """
        while True:
            while self._waiting:
                raw = self._waiting.popleft()
                self._waiting_bytes -= len(raw)
                yield _object(raw)
            if self._closing:
                return
            if self._error is not None:
                raise self._error
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """Close it well, within half a second, else badly; idempotent."""
        self._closing = True
        self._changed.set()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._connection.close()
        except TimeoutError:
            self._connection.transport.abort()
        except asyncio.CancelledError:
            self._connection.transport.abort()
            raise

    async def read(self) -> None:
        """Take in what comes, until nothing can come any more."""
        try:
            async for raw in self._connection:
                self._waiting.append(raw)
                self._waiting_bytes += len(raw)
                self._changed.set()
                if self._waiting_bytes > WAITING_BYTES:
                    self._error = SocketError("More came than was taken.", code=1008)
                    self._connection.transport.abort()
                    break
            else:
                self._error = _closed(self._connection)
        except ConnectionClosed as closed:
            self._error = _lost(closed)
        finally:
            self._changed.set()


@asynccontextmanager
async def json_socket(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    limits: SocketLimits | None = None,
    subprotocols: tuple[str, ...] = (),
) -> AsyncIterator[JsonSocket]:
    """Open a socket; leaving the context closes it and ends its reader.

    Raises:
        SocketError: the handshake was refused or failed.
        SocketTimeoutError: it took too long.
    """
    connection = await _connection(url, headers or {}, limits or SocketLimits(), subprotocols)
    socket = JsonSocket(connection)
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(socket.read())
        try:
            yield socket
        except Exception as error:  # noqa: BLE001 - as it is, not as one of a group
            failure = error
        finally:
            await socket.close()
            reader.cancel()
    if failure is not None:
        raise failure


async def _connection(
    url: str, headers: Mapping[str, str], limits: SocketLimits, subprotocols: tuple[str, ...]
) -> ClientConnection:
    try:
        return await connect(
            url,
            additional_headers=dict(headers),
            subprotocols=list(subprotocols) or None,  # type: ignore[arg-type] # plain names
            open_timeout=limits.open_timeout_s,
            ping_interval=limits.ping_interval_s,
            ping_timeout=limits.ping_timeout_s,
            close_timeout=CLOSE_S,
            max_size=LARGEST_MESSAGE_BYTES,
            compression=None,
        )
    except InvalidStatus as refusal:
        response = refusal.response
        raise SocketError(
            f"The handshake was refused ({response.status_code}).",
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.raw_items()},
            body=bytes(response.body or b""),
        ) from None
    except TimeoutError:
        raise SocketTimeoutError("The socket did not open in time.") from None
    except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
        raise SocketError(f"No connection ({type(error).__name__}).", code=1006) from None


def _object(raw: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise SocketGarbageError("What came is no JSON object.", code=1007)
    return value


def _lost(closed: ConnectionClosed) -> SocketError:
    received = closed.rcvd
    code, reason = (received.code, received.reason) if received else (1006, "")
    return SocketError(f"The socket was closed ({code}).", code=code, reason=reason)


def _closed(connection: ClientConnection) -> SocketError:
    code = connection.close_code or 1006
    return SocketError(
        f"The socket was closed ({code}).", code=code, reason=connection.close_reason or ""
    )
