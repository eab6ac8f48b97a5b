"""A socket to a realtime session, as a call keeps it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.openai.faults import fault
from calls.providers.openai.realtime_events import RealtimeAddress
from calls.providers.openai.realtime_faults import event_error, socket_error
from calls.sockets import JsonSocket, SocketError, json_socket

RECYCLE_MS = 50 * 60_000
"""The server ends sessions after an hour, without a warning."""

UPDATE = "session"
"""The id of our events that set the session up."""

_LOST = frozenset({ProviderFault.UNAVAILABLE, ProviderFault.INVALID})

logger = logging.getLogger(__name__)

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class LineUser(Protocol):
    """Whom a socket serves. Nothing here waits or raises."""

    def session(self) -> Mapping[str, Any]:
        """What the session is to be, asked when the socket has opened."""
        ...

    def take(self, kind: str, event: Mapping[str, Any]) -> None:
        """An event of the server has come, `error` among them."""
        ...

    def changed(self) -> None:
        """It has opened, is over, or has become old."""
        ...


class RealtimeLine:
    """One socket, from its opening in the background to its end. It opens once.

    Attributes:
        is_open: it has opened; stays true once it is over.
        over: it is of no further use.
        error: why; None while it is not over, and when we closed it.
        again: another socket may well do better.
        old: another one should take its place before the server ends it.
        session_id: the provider's own.
    """

    def __init__(self, address: RealtimeAddress, user: LineUser, clock: Clock) -> None:
        self.is_open = False
        self.over = False
        self.error: ProviderError | None = None
        self.again = False
        self.old = False
        self.session_id = ""
        self.address = address
        self._user = user
        self._clock = clock
        self._socket: JsonSocket | None = None
        self._task: asyncio.Task[None] | None = None
        self._forget: Callable[[], None] = lambda: None

    @property
    def usable(self) -> bool:
        """Whether it is open, or about to be, as far as anybody knows."""
        return not self.over and (self._socket is None or self._socket.usable)

    def begin(self, start: Start) -> None:
        """Open in the background."""
        self._task = start(self._run())

    def close(self) -> None:
        """Be over now, gone within half a second; idempotent."""
        if not self.over:
            self._end(None)
            assert self._task is not None
            # Only once: a second cancellation would break off the closing handshake.
            self._task.cancel()

    async def send(self, kind: str, /, **fields: Any) -> None:
        """Send an event over the open socket; if that is lost, it is over and its user is told."""
        if self.over or self._socket is None:
            return
        try:
            await self._socket.send({"type": kind, **fields})
        except SocketError as error:
            self._lost(error)

    async def update(self) -> None:
        """Tell the server anew what the session is to be."""
        await self.send("session.update", event_id=UPDATE, session=self._user.session())

    def fail_by(self, event: Mapping[str, Any]) -> None:
        """Be over because of this event, which holds an `error`."""
        self.fail(self.error_of(event))

    def fail(self, error: ProviderError) -> None:
        self._end(error, again=error.kind in _LOST)

    def error_of(self, event: Mapping[str, Any]) -> ProviderError:
        address = self.address
        return event_error(
            event, provider=address.provider, stage=address.stage, request_id=self.session_id
        )

    def fault(self, kind: ProviderFault) -> ProviderError:
        """An error of that kind, in the name of this session."""
        address = self.address
        return fault(
            kind, provider=address.provider, stage=address.stage, request_id=self.session_id
        )

    def _lost(self, error: SocketError) -> None:
        address = self.address
        failure = socket_error(error, provider=address.provider, stage=address.stage)
        self._end(failure, again=self.is_open and failure.kind in _LOST)

    def _end(self, error: ProviderError | None, *, again: bool = False) -> None:
        if not self.over:
            self.over, self.error, self.again = True, error, again
            self._forget()
            self._user.changed()

    async def _run(self) -> None:
        try:
            async with json_socket(self.address.url, headers=self.address.headers) as socket:
                await self._use(socket)
        except SocketError as error:
            self._lost(error)
        except Exception as trouble:  # noqa: BLE001 - servers send what nobody has thought of
            logger.warning(
                "A realtime session could not be read.", extra={"kind": type(trouble).__name__}
            )
            self.fail(self.fault(ProviderFault.INVALID))
        finally:
            self._end(None)

    async def _use(self, socket: JsonSocket) -> None:
        """Take what comes until it is over. What goes wrong stays within."""
        self._socket = socket
        await self.update()
        self._opened()
        try:
            async for event in socket.messages():
                self._take(event)
                if self.over:
                    return
        except SocketError as error:
            self._lost(error)

    def _opened(self) -> None:
        if not self.over:
            self.is_open = True
            due_ms = self._clock.now_ms() + RECYCLE_MS
            self._forget = self._clock.call_at(due_ms, self.age)
            self._user.changed()

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = str(event.get("type"))
        if kind == "session.created":
            self.session_id = str(event["session"].get("id") or "")
        elif kind == "error" and answered_id(event) == UPDATE:
            self.fail_by(event)
        else:
            self._user.take(kind, event)

    def age(self) -> None:
        """Another one should take its place: its hour comes, or it has gone silent."""
        self.old = True
        self._user.changed()


def answered_id(event: Mapping[str, Any]) -> str:
    """The id of our event that an `error` answers; empty: of none."""
    error = event.get("error")
    return str(error.get("event_id") or "") if isinstance(error, Mapping) else ""


class CallTasks:
    """The background work of a service that belongs to one call: all of it ends with the call."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None

    @property
    def entered(self) -> bool:
        return self._group is not None

    async def open(self) -> None:
        self._group = await asyncio.TaskGroup().__aenter__()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let this go on beside the call; it must not raise.

        Raises:
            RuntimeError: the service was not entered.
        """
        if self._group is None:
            work.close()
            raise RuntimeError("The service has to be entered first.")
        return self._group.create_task(work)

    async def close(self) -> None:
        """Wait for what has been told to end; nothing is started any more. Idempotent."""
        group, self._group = self._group, None
        if group is not None:
            await group.__aexit__(None, None, None)
