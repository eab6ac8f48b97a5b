"""A WebSocket's end of a call: frames to the runner, messages to frames, nothing else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from channels.generic.websocket import AsyncWebsocketConsumer
from structlog.contextvars import bind_contextvars

from calls import wiring
from calls.consumers.client import Send, SocketClient
from calls.consumers.passing import pass_all
from calls.consumers.visiting import origin_in, told, visit_of
from calls.domain import events as ev
from calls.domain.errors import CallError, ErrorCode
from calls.engine.clock import MonotonicClock
from calls.engine.limits import TokenBucket
from calls.engine.registry import LiveCall
from calls.ports.tools import Tool
from calls.store.visits import Visit
from calls.wire.base import Codec, Frame, Hello, Knock, Terms, WireError
from calls.wiring.metrics import metrics

logger = logging.getLogger(__name__)

QUERY_FIELDS = 50

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class SocketConsumer(AsyncWebsocketConsumer):
    """One socket of a call.

    It reads in a loop of its own: the base class would wait for the process's one database
    thread before every message, so that a slow query of one call would silence all others. It has
    no channel layer either, whose loss would end the call.
    """

    # What a protocol says

    async def knocked(self, knock: Knock) -> None:
        """Find out who knocks, before `codec` is asked; the socket is not accepted yet.

        Raises:
            WireError, CallError: the client is refused.
        """

    def codec(self, knock: Knock) -> Codec:
        """A codec for this socket.

        Raises:
            WireError, CallError: the client is refused before its socket is accepted.
        """
        raise NotImplementedError

    def subprotocol(self, knock: Knock) -> str | None:  # noqa: ARG002 - for those who choose one
        """Which of the offered ones is taken."""
        return None

    async def admitted(self, hello: Hello) -> Hello:
        """The caller as the call is opened for it, once it is known who it is.

        Raises:
            CallError: it may not come in.
        """
        return hello

    async def visit(self, hello: Hello) -> Visit:
        """Who calls, as far as the server knows, once it is known whom; uses a token up.

        Raises:
            CallError: it may not call.
        """
        return await visit_of(self.scope, hello)

    def tools(self, hello: Hello) -> tuple[Tool, ...]:  # noqa: ARG002 - for those who have some
        """What the protocol's other side can do for the agent."""
        return ()

    async def begun(self, call: LiveCall) -> None:
        """The call runs, and its client is about to be attached."""

    # The socket

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve the socket until it closes."""
        self.scope = dict(scope)
        self._receive = receive
        self._clock = MonotonicClock()
        if (await receive())["type"] != "websocket.connect":
            return
        knock = knock_of(scope)
        try:
            await self.knocked(knock)
            codec = self.codec(knock)
        except (CallError, WireError) as error:
            logger.info("a client was refused", extra={"code": error.code})
            metrics().refused(error.code)
            await send({"type": "websocket.close", "code": 4403})
            return
        client = SocketClient(send, codec)
        await send({"type": "websocket.accept", "subprotocol": self.subprotocol(knock)})
        await self._call(client)

    async def _call(self, client: SocketClient) -> None:
        call: LiveCall | None = None
        try:
            call = await self._open(client)
            if call is not None:
                bind_contextvars(call_id=call.call_id)
                await self._serve(call, client)
        finally:
            client.gone()
            if call is not None:
                self._leave(call, client)

    def _leave(self, call: LiveCall, client: SocketClient) -> None:
        """A socket that cannot be replaced was the call."""
        if not client.codec.terms.resumes and call.runner.client is client:
            call.runner.post(ev.HungUp())
        call.runner.detach(client)

    # The beginning

    async def _open(self, client: SocketClient) -> LiveCall | None:
        try:
            hello = await self._hello(client)
            return None if hello is None else await self._join(hello, client)
        except (CallError, WireError) as error:
            await client.refuse(error.code, error.message)
        except Exception as error:  # noqa: BLE001 - the caller is told; the log says what
            logger.error(  # noqa: TRY400 - a traceback may hold what the client sent
                "call could not begin", extra={"error": type(error).__name__}
            )
            await client.refuse(ErrorCode.INTERNAL, "The call could not begin.")
        return None

    async def _hello(self, client: SocketClient) -> Hello | None:
        """What the call begins with; None when the client has gone before."""
        hello = client.codec.greet()
        try:
            async with asyncio.timeout(client.codec.terms.start_ms / 1000):
                while hello is None:
                    frame = frame_of(await self._receive())
                    if frame is None:
                        return None
                    hello = client.codec.open(frame)
        except TimeoutError:
            hello = client.codec.late()
        return hello

    async def _join(self, hello: Hello, client: SocketClient) -> LiveCall:
        hello = await self.admitted(self._with_address(hello))
        client.pace = hello.pace
        call = await self._call_for(hello, client)
        self._limit(client.codec.terms)
        if hello.mic_rate_hz is not None:
            call.intake.use_rate(hello.mic_rate_hz)
        call.intake.use_push_to_talk(hello.push_to_talk)
        try:
            await self.begun(call)
            ready = wiring.ready(call, resumed=hello.resume is not None)
            await client.frames(client.codec.ready(ready))
        finally:
            call.runner.attach(client)
        return call

    async def _call_for(self, hello: Hello, client: SocketClient) -> LiveCall:
        terms = client.codec.terms
        door = f"{terms.name} {origin_in(self.scope)}"
        if hello.resume is None:
            visit = await self.visit(hello)
            call = await wiring.open_call(
                told(hello, visit),
                client=self._about(terms),
                tools=self.tools(hello),
                visit=visit,
            )
            call.door = door
            return call
        call = wiring.registry().find(hello.resume.call_id, hello.resume.secret)
        if call.door != door:
            raise CallError(ErrorCode.ENDED, "That call is over.")
        if hello.resume.response_id is not None and hello.resume.played_ms is not None:
            call.runner.playout.played(hello.resume.response_id, hello.resume.played_ms)
            played = ev.Played(
                response_id=hello.resume.response_id, played_ms=hello.resume.played_ms
            )
            call.runner.post(played)
        return call

    def _with_address(self, hello: Hello) -> Hello:
        """The agent of the address and of the message must agree.

        Raises:
            WireError: they do not.
        """
        return wiring.hello_for(_agent_of(self.scope), hello)

    def _about(self, terms: Terms) -> dict[str, str]:
        headers = dict(self.scope.get("headers", ()))
        agent = headers.get(b"user-agent", b"").decode("latin1")
        return {"user_agent": agent[:300], "protocol": terms.name}

    def _limit(self, terms: Terms) -> None:
        now_ms = self._clock.now_ms()
        self._audio = TokenBucket(
            rate=terms.sound_bytes_per_s, burst=terms.sound_reserve_bytes, now_ms=now_ms
        )
        self._texts = TokenBucket(rate=terms.texts_per_s, burst=terms.texts_reserve, now_ms=now_ms)

    # The call

    async def _serve(self, call: LiveCall, client: SocketClient) -> None:
        try:
            async with client.patience:
                client.read = True
                await self._converse(call, client)
        except TimeoutError:
            await client.close_now(1000)
        finally:
            client.read = False

    async def _converse(self, call: LiveCall, client: SocketClient) -> None:
        while (frame := frame_of(await self._receive())) is not None:
            if call.runner.client is not client:
                continue  # another socket took over, or the call is over; this one is closing
            try:
                await self._take(call, client, frame)
            except WireError as error:
                if error.close_code is not None:
                    await client.refuse(error.code, error.message)
                    return
                await client.frames(client.codec.error(error.code, error.message, fatal=False))

    async def _take(self, call: LiveCall, client: SocketClient, frame: Frame) -> None:
        """Everything that happens for a frame of sound happens in here, without waiting."""
        self._afford(client.codec.terms, frame)
        received = client.codec.receive(frame)
        if received.inbound:
            await pass_all(call, received)
        if received.replies:
            await client.frames(received.replies)

    def _afford(self, terms: Terms, frame: Frame) -> None:
        """Take the frame, or not.

        Raises:
            WireError: with a close code; the client sends too much at once, or too fast.
        """
        now_ms, size = self._clock.now_ms(), len(frame)
        if size > terms.message_bytes:
            message = f"A message is at most {terms.message_bytes} bytes."
            raise WireError(ErrorCode.TOO_LARGE, message, 4413)
        spoken = terms.sound_text_chars
        if isinstance(frame, bytes) or (spoken is not None and size >= spoken):
            allowed = self._audio.take(max(size, terms.sound_least_bytes), now_ms)
        else:
            allowed = self._texts.take(1, now_ms)
        if not allowed:
            raise WireError(ErrorCode.TOO_FAST, "That is faster than anybody speaks.", 4429)


def frame_of(message: Mapping[str, Any]) -> Frame | None:
    """What the client sent; None when it has gone."""
    if message["type"] != "websocket.receive":
        return None
    sound: bytes | None = message.get("bytes")
    if sound is not None:
        return sound
    text: str = message.get("text") or ""
    return text


def knock_of(scope: Mapping[str, Any]) -> Knock:
    """What the handshake says of the client."""
    headers: dict[str, str] = {}
    for name, value in scope.get("headers", ()):
        headers.setdefault(name.decode("latin1").lower(), value.decode("latin1"))
    query = scope.get("query_string", b"").decode("latin1")
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=QUERY_FIELDS)
    except ValueError:
        fields = []
    return Knock(
        agent=_agent_of(scope),
        query=dict(fields),
        headers=headers,
        subprotocols=tuple(scope.get("subprotocols", ())),
    )


def _agent_of(scope: Mapping[str, Any]) -> str:
    agent: str = scope.get("url_route", {}).get("kwargs", {}).get("agent", "")
    return agent
