"""Our server: Daphne, with the promises that a call needs.

* It drains. On SIGTERM or Ctrl-C it tells the application that the end has come (ASGI lifespan) and
  gives the calls time to end well; pages are still answered meanwhile. A second signal ends the
  waiting: the application's end is cancelled, which it takes for a hurry.
* What a client can make it hold is bounded: request bodies, WebSocket messages and frames.
* It listens before anything slow begins and accepts once the application is ready.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from autobahn.websocket import USES_NVX
from daphne.server import Server as Daphne  # first: it installs the asyncio reactor
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, LogLevel, globalLogBeginner

from voiceapp.asgi_types import Application
from voiceapp.lifespan import Lifespan
from voiceapp.requests import CappedHTTPFactory
from voiceapp.sockets import CappedFactory

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("voiceapp.access")
reactor: Any = installed_reactor

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CUT_WITHIN_S = 2
_CANCELLED_WITHIN_S = 3
_CLOSED_WITHIN_S = 2
_POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server gives and takes.

    Attributes:
        websocket_message_bytes: the longest message that is taken at a path.
        ping_interval_s: how long a socket may be silent before it is asked for a sign of life.
        ping_timeout_s: how long the answer may take. Together they find a dead client within 22 s.
            Shorter ones would cut off phones, which lose the network for seconds in every handover
            and get their packets through afterwards.
        drain_ms: what the application gets to come to its end after SIGTERM, all told.
        close_s: what an application gets after its socket has gone.
    """

    request_body_bytes: int = 4 * 1024 * 1024
    request_s: int = 60
    websocket_message_bytes: Callable[[str], int] = lambda _path: 65_536
    handshake_s: int = 10
    ping_interval_s: int = 10
    ping_timeout_s: int = 10
    listen_backlog: int = 1024
    drain_ms: int = 30_000
    close_s: int = 30


DEFAULT_LIMITS = Limits()


def listen(host: str, port: int, backlog: int = DEFAULT_LIMITS.listen_backlog) -> socket.socket:
    """Take the port. Connections wait in the kernel until a server accepts them.

    Args:
        host: a name or an address, IPv4 or IPv6.
        port: 0 lets the system choose.
        backlog: how many connections may wait.

    Raises:
        OSError: the port is taken, is not ours to take, or the host is not this machine.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if hasattr(signal, "SIGHUP"):  # on Windows the option lets two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class Server(Daphne):
    """Runs one ASGI application on one listening socket until a signal ends it.

    Args:
        application: it is told of start and end by lifespan messages, if it knows them.
        listener: listening already; the server closes it.
        limits: bounds and deadlines.
        on_ready: called once, when the application has started and connections are accepted.
    """

    def __init__(
        self,
        application: Application,
        listener: socket.socket,
        *,
        limits: Limits = DEFAULT_LIMITS,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            application,
            endpoints=["adopted"],
            signal_handlers=False,
            action_logger=_log_access,
            http_timeout=limits.request_s,
            websocket_timeout=-1,  # by the wall clock: a correction of the time would end calls
            websocket_connect_timeout=limits.handshake_s,
            websocket_handshake_timeout=limits.handshake_s,
            ping_interval=limits.ping_interval_s,
            ping_timeout=limits.ping_timeout_s,
            application_close_timeout=limits.close_s,
            server_name="",
        )
        self.failed = False
        self._listener = listener
        self._limits = limits
        self._on_ready = on_ready
        self._lifespan = Lifespan(application)
        self._patience: asyncio.Timeout | None = None
        self._signals = 0

    @property
    def ending(self) -> bool:
        """A signal has come: what is new belongs elsewhere."""
        return self._signals > 0

    def run(self) -> None:
        """Serve until a signal comes. `failed` says afterwards whether the start failed.

        The process is expected to leave then: signals are ignored from there on.
        """
        self.connections: dict[Any, dict[str, Any]] = {}
        self.http_factory = CappedHTTPFactory(self, self._limits.request_body_bytes)
        self.ws_factory = self._websocket_factory()
        observer: Any = _log_twisted_failures  # observers are plain callables to all but mypy
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
        asyncio.set_event_loop(reactor._asyncioEventloop)
        reactor.callLater(1, self.application_checker)
        reactor.callLater(2, self.timeout_checker)
        reactor.addSystemEventTrigger("before", "shutdown", self.kill_all_applications)
        reactor.callWhenRunning(lambda: _deferred(self._start()))
        reactor.run(installSignalHandlers=False)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def kill_all_applications(self) -> "Deferred[None]":
        """What the reactor waits for before it ends: the drain."""
        return _deferred(self._drain())

    def _websocket_factory(self) -> CappedFactory:
        factory = CappedFactory(self, self._limits.websocket_message_bytes)
        factory.setProtocolOptions(
            autoPingTimeout=self.ping_timeout,
            allowNullOrigin=True,  # to be refused like any other, by the application
            openHandshakeTimeout=self.websocket_handshake_timeout,
        )
        return factory

    async def _start(self) -> None:
        self._watch_signals()
        if not USES_NVX:
            logger.warning("autobahn runs without its native extension: audio costs far more CPU")
        try:
            await self._lifespan.startup()
        except Exception:
            logger.exception("The application did not start")
            self.failed = True
            self.stop()
            return
        reactor.adoptStreamPort(self._listener.fileno(), self._listener.family, self.http_factory)
        self._listener.close()
        self._on_ready()

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            try:
                loop.add_signal_handler(number, self._signalled)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: reactor.callFromThread(self._signalled))

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self.stop()
        elif self._patience is not None:
            with suppress(RuntimeError):  # it is over already
                self._patience.reschedule(asyncio.get_running_loop().time())

    async def _drain(self) -> None:
        """Tell the application, wait until it is done, cancel what is left.

        When time is up, or a second signal came, the application is cut short first: what it does
        about that is waited for.
        """
        try:
            async with asyncio.timeout(self._limits.drain_ms / 1000) as self._patience:
                await self._lifespan.shutdown()
                await self._closed_sockets()
        except TimeoutError:
            logger.warning("Not every call came to its end in time")
            await self._lifespan.cut(_CUT_WITHIN_S)
            await self._closed_sockets()
        except RuntimeError:
            logger.exception("Not every call ended well")
        await self._cancel_rest()

    async def _closed_sockets(self) -> None:
        """Wait a moment for closing handshakes and for answers that are nearly done."""
        for _ in range(round(_CLOSED_WITHIN_S / _POLL_S)):
            if not any(map(_alive, self.connections.values())):
                return
            await asyncio.sleep(_POLL_S)

    async def _cancel_rest(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            hurried = self._signals > 1
            await asyncio.wait(rest, timeout=_CLOSED_WITHIN_S if hurried else _CANCELLED_WITHIN_S)


def _alive(connection: dict[str, Any]) -> bool:
    """Whether an application still answers, or a WebSocket's closing handshake is under way."""
    application = connection.get("application_instance")
    return application is not None and (not application.done() or "disconnected" not in connection)


def _deferred(coroutine: Any) -> "Deferred[None]":
    """Where Twisted's world meets asyncio's: a task that the reactor owns."""
    return Deferred.fromFuture(asyncio.get_event_loop().create_task(coroutine))


def _log_access(protocol: str, action: str, details: dict[str, Any]) -> None:
    """One line for each request, without its query: tokens and names travel there."""
    path = details["path"].partition("?")[0]
    if protocol == "http":
        facts = (details["method"], path, details["status"], round(details["time_taken"] * 1000))
        access_logger.info("%s %s %s %d ms", *facts)
    else:
        access_logger.info("WebSocket %s %s", action, path)


def _log_twisted_failures(event: LogEvent) -> None:
    if event.get("log_level") is LogLevel.critical and "log_failure" in event:
        failure = event["log_failure"]
        trace = (failure.type, failure.value, failure.getTracebackObject())
        logger.error("Unhandled in the network layer", exc_info=trace)
