"""Socket.IO connections: events to the runner, messages to events, nothing else."""

import logging
from collections import deque
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import socketio
from engineio.payload import Payload

from calls import wiring
from calls.consumers.base import knock_of
from calls.consumers.engineio import PACKETS_IN_A_POST, Door, Receive, Scope, Send
from calls.consumers.passing import pass_all
from calls.consumers.visiting import told, visit_of, with_own_token
from calls.domain import events as ev
from calls.domain.errors import CallError, ErrorCode
from calls.engine.clock import MonotonicClock
from calls.engine.limits import TokenBucket
from calls.engine.registry import LiveCall
from calls.ports.client import Outgoing
from calls.wire.base import Hello, WireError
from calls.wire.socketio import EVENTS_IN, PACE, SOUND, TERMS, AudioStreaming, Emitted
from calls.wiring.metrics import metrics

logger = logging.getLogger(__name__)

PING_INTERVAL_S, PING_TIMEOUT_S = 10, 15
"""They find a dead client within 25 s."""

MOST_WAITING = 512
"""A client that takes nothing of so many events has gone."""

EARLY_EVENTS = 200
"""What comes while the call begins: 17 s of a usual microphone."""

CLOCK = MonotonicClock()


class Connection:
    """One client, as the runner sees it."""

    def __init__(self, server: Any, sid: str, codec: AudioStreaming) -> None:
        self.codec = codec
        self.pace = PACE
        self._server = server
        self._sid = sid
        self._gone = False

    async def send(self, message: Outgoing) -> None:
        await self.emit(self.codec.send(message))

    async def emit(self, events: tuple[Emitted, ...]) -> None:
        """Send events as they are, in order."""
        for event in events:
            if self._gone:
                return
            if self._waiting() >= MOST_WAITING:
                self._forget_waiting()
                await self.close(1000)
                return
            await self._server.emit(event.event, event.payload, to=self._sid)

    async def close(self, code: int) -> None:  # noqa: ARG002 - this protocol knows none
        if not self._gone:
            self._gone = True
            await self._server.disconnect(self._sid)

    async def refuse(self, code: ErrorCode, message: str) -> None:
        """Say what is wrong, then disconnect."""
        metrics().refused(code)
        await self.emit(self.codec.error(code, message))
        await self.close(1000)

    def gone(self) -> None:
        self._gone = True

    def _waiting(self) -> int:
        """How many packets the transport has not taken yet."""
        queue = self._queue()
        return 0 if queue is None else int(queue.qsize())

    def _forget_waiting(self) -> None:
        queue = self._queue()
        while queue is not None and not queue.empty():
            queue.get_nowait()
            queue.task_done()

    def _queue(self) -> Any:
        transport = self._server.manager.eio_sid_from_sid(self._sid, "/")
        socket = self._server.eio.sockets.get(transport)
        return None if socket is None else socket.queue


def _sound_bucket() -> TokenBucket:
    return TokenBucket(
        rate=TERMS.sound_bytes_per_s, burst=TERMS.sound_reserve_bytes, now_ms=CLOCK.now_ms()
    )


def _event_bucket() -> TokenBucket:
    return TokenBucket(rate=TERMS.texts_per_s, burst=TERMS.texts_reserve, now_ms=CLOCK.now_ms())


@dataclass(slots=True)
class Session:
    """What there is of a connection, from `connect` to `disconnect`.

    Attributes:
        opening: the call is on its way; what comes waits in `early`.
    """

    client: Connection
    user_agent: str
    scope: Scope = field(default_factory=dict, repr=False)
    call: LiveCall | None = None
    opening: bool = False
    early: deque[tuple[str, Any]] = field(default_factory=lambda: deque(maxlen=EARLY_EVENTS))
    sound: TokenBucket = field(default_factory=_sound_bucket)
    events: TokenBucket = field(default_factory=_event_bucket)

    def afford(self, event: str, payload: object) -> None:
        """Take the event, or not.

        Raises:
            WireError: the client sends faster than anybody speaks.
        """
        now_ms = CLOCK.now_ms()
        if event == SOUND:
            size = len(payload) if isinstance(payload, str) else 0
            allowed = self.sound.take(max(size, TERMS.sound_least_bytes), now_ms)
        else:
            allowed = self.events.take(1, now_ms)
        if not allowed:
            raise WireError(ErrorCode.TOO_FAST, "That is faster than anybody speaks.", 4429)


class SocketIO:
    """An ASGI application for HTTP and WebSockets: every connection may become a call.

    Events of a connection are taken one at a time, in order. The library says nothing in the log:
    its words hold what clients sent.
    """

    def __init__(self) -> None:
        silent = logging.getLogger(f"{__name__}.library")
        silent.setLevel(logging.CRITICAL + 1)
        Payload.max_decode_packets = max(Payload.max_decode_packets, PACKETS_IN_A_POST)
        self.server = socketio.AsyncServer(
            async_mode="asgi",
            async_handlers=False,
            cors_allowed_origins=lambda _origin, _environ: True,  # the door has asked
            max_http_buffer_size=TERMS.message_bytes,
            http_compression=False,  # it would hold the loop, for speech that is hardly smaller
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            logger=silent,
            engineio_logger=silent,
        )
        self._sessions: dict[str, Session] = {}
        self._door = Door(self.server.eio)
        self.server.on("connect", self._connected)
        self.server.on("disconnect", self._disconnected)
        for event in EVENTS_IN:
            self.server.on(event, partial(self._happened, event))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        await self._door(scope, receive, send)

    def __len__(self) -> int:
        """How many clients there are, with and without a call."""
        return len(self._sessions)

    async def shutdown(self) -> None:
        """Let those go that have no call, and stop the library's own work.

        The calls end by themselves, and disconnect their clients.
        """
        for session in tuple(self._sessions.values()):
            if session.call is None:
                await session.client.close(1000)
        await self.server.shutdown()

    # What the library tells. Clients can send events of the first two names as well, with
    # anything in them: what is told is not relied upon.

    async def _connected(self, sid: str, _environ: object = None, auth: object = None) -> None:
        scope = self.server.get_environ(sid)["asgi.scope"]
        if sid not in self._sessions:
            knock = knock_of(scope)
            client = Connection(self.server, sid, AudioStreaming(knock.query, auth))
            user_agent = knock.headers.get("user-agent", "")[:300]
            self._sessions[sid] = Session(client, user_agent, scope)

    async def _disconnected(self, sid: str, *_reason: object) -> None:
        session = self._sessions.pop(sid, None)
        if session is not None:
            session.client.gone()
            if session.call is not None:
                _leave(session.call, session.client)

    async def _happened(self, event: str, sid: str, *payload: Any) -> None:
        session = self._sessions.get(sid)
        if session is None:
            return
        try:
            session.afford(event, payload[0] if payload else None)
            await self._take(sid, session, event, payload[0] if payload else None)
        except (CallError, WireError) as error:
            await session.client.refuse(error.code, error.message)
        except Exception as error:  # noqa: BLE001 - the caller is told; the log says what
            logger.error(  # noqa: TRY400 - a traceback may hold what the client sent
                "an event could not be taken", extra={"error": type(error).__name__}
            )
            await session.client.refuse(ErrorCode.INTERNAL, "Something went wrong.")

    # A call

    async def _take(self, sid: str, session: Session, event: str, payload: Any) -> None:
        if session.call is not None:
            await _pass(session.call, session.client, event, payload)
        elif session.opening:
            session.early.append((event, payload))
        elif (hello := session.client.codec.open(event, payload)) is not None:
            session.opening = True
            await self._begin(sid, session, hello)

    async def _begin(self, sid: str, session: Session, hello: Hello) -> None:
        client = session.client
        about = {"protocol": TERMS.name, "user_agent": session.user_agent}
        hello = with_own_token(wiring.hello_for("", hello))
        visit = await visit_of(session.scope, hello)
        call = await wiring.open_call(told(hello, visit), client=about, visit=visit)
        if hello.mic_rate_hz is not None:
            call.intake.use_rate(hello.mic_rate_hz)
        try:
            await client.emit(client.codec.ready(wiring.ready(call, resumed=False)))
        finally:
            call.runner.attach(client)
            session.call = call
            if self._sessions.get(sid) is not session:
                _leave(call, client)  # it left while its call began
        while session.early:
            await _pass(call, client, *session.early.popleft())


async def _pass(call: LiveCall, client: Connection, event: str, payload: Any) -> None:
    if call.runner.client is client:
        await pass_all(call, client.codec.receive(event, payload))


def _leave(call: LiveCall, client: Connection) -> None:
    """Nobody comes back into a call of this protocol."""
    if call.runner.client is client:
        call.runner.post(ev.HungUp())
    call.runner.detach(client)


@cache
def application() -> SocketIO:
    """The one that is served; made when the first client comes."""
    return SocketIO()


async def shutdown() -> None:
    """What the end of the server is told to; nothing where no client ever came."""
    if application.cache_info().currsize:
        await application().shutdown()
