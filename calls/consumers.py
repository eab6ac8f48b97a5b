"""The WebSocket's end of a call: frames to the runner, messages to frames, nothing else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from calls import wiring
from calls.domain import events as ev
from calls.domain.errors import CallError, ErrorCode
from calls.engine.clock import MonotonicClock
from calls.engine.limits import TokenBucket
from calls.engine.registry import LiveCall
from calls.ports.client import Outgoing
from calls.wire.base import ClientAudio, Frame, Hello, Inbound, Resume, TurnsMode, WireError
from calls.wire.browser import Browser

logger = logging.getLogger(__name__)

START_MS = 5_000
AUDIO_PACE = 1.25
AUDIO_RESERVE_MS = 15_000
LEAST_FRAME_MS = 10
"""A frame counts for so much sound at least: what it costs is the same."""
TEXTS_PER_SECOND = 20
TEXTS_IN_RESERVE = 40
SAMPLE_BYTES = 2

CLOSE_CODES: Mapping[ErrorCode, int] = {
    ErrorCode.BAD_MESSAGE: 4400,
    ErrorCode.UNAUTHORIZED: 4401,
    ErrorCode.NO_SUCH_AGENT: 4404,
    ErrorCode.START_TIMEOUT: 4408,
    ErrorCode.TAKEN_OVER: 4409,
    ErrorCode.ENDED: 4410,
    ErrorCode.TOO_LARGE: 4413,
    ErrorCode.TOO_FAST: 4429,
    ErrorCode.BUSY: 4503,
    ErrorCode.DRAINING: 4503,
    ErrorCode.INTERNAL: 4502,
}

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class SocketClient:
    """A socket and its codec, as the runner sees them."""

    def __init__(self, send: Send, codec: Browser) -> None:
        self.codec = codec
        self.reports_playback = False
        self._send = send
        self._closed = False

    async def send(self, message: Outgoing) -> None:
        for frame in self.codec.send(message):
            await self.frame(frame)

    async def frame(self, frame: Frame) -> None:
        """Send a frame as it is. A socket that has gone takes nothing and says nothing."""
        kind = "bytes" if isinstance(frame, bytes) else "text"
        await self._emit({"type": "websocket.send", kind: frame})

    async def close(self, code: int) -> None:
        await self._emit({"type": "websocket.close", "code": code})
        self._closed = True

    def gone(self) -> None:
        self._closed = True

    async def _emit(self, message: dict[str, Any]) -> None:
        if self._closed:
            return
        try:
            await self._send(message)
        except Exception:  # noqa: BLE001 - servers differ in what they raise for a closed socket
            self._closed = True


class CallConsumer(AsyncWebsocketConsumer):
    """One socket of a call in browser protocol v1.

    It reads in a loop of its own: the base class would wait for the process's one database
    thread before every message, so that a slow query of one call would silence all others. It has
    no channel layer either, whose loss would end the call.
    """

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve the socket until it closes."""
        self.scope = dict(scope)
        self._receive = receive
        self._clock = MonotonicClock()
        client = SocketClient(send, Browser())
        call: LiveCall | None = None
        try:
            call = await self._open(client, send)
            if call is not None:
                await self._serve(call, client)
        finally:
            client.gone()
            if call is not None:
                call.runner.detach(client)

    # The beginning

    async def _open(self, client: SocketClient, send: Send) -> LiveCall | None:
        if (await self._receive())["type"] != "websocket.connect":
            return None
        await send({"type": "websocket.accept"})
        try:
            hello = await self._hello(client)
            return None if hello is None else await self._join(hello, client)
        except (CallError, WireError) as error:
            await self._refuse(client, error.code, error.message)
        except Exception as error:  # noqa: BLE001 - the caller is told; the log says what
            logger.error(  # noqa: TRY400 - a traceback may hold what the client sent
                "call could not begin", extra={"error": type(error).__name__}
            )
            await self._refuse(client, ErrorCode.INTERNAL, "The call could not begin.")
        return None

    async def _hello(self, client: SocketClient) -> Hello | None:
        try:
            async with asyncio.timeout(START_MS / 1000):
                frame = _frame(await self._receive())
        except TimeoutError:
            message = "No first message came in time."
            raise CallError(ErrorCode.START_TIMEOUT, message) from None
        return None if frame is None else client.codec.open(frame)

    async def _join(self, hello: Hello, client: SocketClient) -> LiveCall:
        client.reports_playback = hello.reports_playback
        if hello.resume is not None:
            call = wiring.registry().find(hello.resume.call_id, hello.resume.secret)
        else:
            call = await wiring.open_call(self._with_address(hello), client=self._about())
        self._limit(hello)
        if hello.mic_rate_hz is not None:
            call.intake.use_rate(hello.mic_rate_hz)
        call.intake.use_push_to_talk(hello.push_to_talk)
        if hello.resume is not None:
            _take_playhead(call, hello.resume)
        ready = wiring.ready(call, resumed=hello.resume is not None)
        try:
            await client.frame(client.codec.ready(ready))
        finally:
            call.runner.attach(client)
        return call

    def _with_address(self, hello: Hello) -> Hello:
        """The agent of the address and of the message must agree.

        Raises:
            WireError: they do not.
        """
        named = self.scope.get("url_route", {}).get("kwargs", {}).get("agent", "")
        return wiring.hello_for(named, hello)

    def _about(self) -> dict[str, str]:
        headers = dict(self.scope.get("headers", ()))
        agent = headers.get(b"user-agent", b"").decode("latin1")
        return {"user_agent": agent[:300], "protocol": Browser.name}

    def _limit(self, hello: Hello) -> None:
        now_ms = self._clock.now_ms()
        rate = (hello.mic_rate_hz or 16_000) * SAMPLE_BYTES
        pace, reserve = rate * AUDIO_PACE, rate * AUDIO_RESERVE_MS / 1000
        self._audio = TokenBucket(rate=pace, burst=reserve, now_ms=now_ms)
        self._least_bytes = rate * LEAST_FRAME_MS / 1000
        self._texts = TokenBucket(rate=TEXTS_PER_SECOND, burst=TEXTS_IN_RESERVE, now_ms=now_ms)

    # The call

    async def _serve(self, call: LiveCall, client: SocketClient) -> None:
        while (frame := _frame(await self._receive())) is not None:
            if call.runner.client is not client:
                continue  # another socket took over, or the call is over; this one is closing
            try:
                replies = self._take(call, client, frame)
            except WireError as error:
                if error.close_code is not None:
                    await self._refuse(client, error.code, error.message)
                    return
                replies = (client.codec.error(error.code, error.message, fatal=False),)
            for reply in replies:
                await client.frame(reply)

    def _take(self, call: LiveCall, client: SocketClient, frame: Frame) -> tuple[Frame, ...]:
        """Everything that happens for a frame of sound happens in here, without waiting."""
        now_ms = self._clock.now_ms()
        if isinstance(frame, bytes):
            allowed = self._audio.take(max(len(frame), self._least_bytes), now_ms)
        else:
            allowed = self._texts.take(1, now_ms)
        if not allowed:
            raise WireError(ErrorCode.TOO_FAST, "That is faster than anybody speaks.", 4429)
        received = client.codec.receive(frame)
        for inbound in received.inbound:
            _pass_on(call, inbound)
        return received.replies

    async def _refuse(self, client: SocketClient, code: ErrorCode, message: str) -> None:
        await client.frame(client.codec.error(code, message, fatal=True))
        await client.close(CLOSE_CODES.get(code, 4400))


def _frame(message: Mapping[str, Any]) -> Frame | None:
    """What the client sent; None when it has gone."""
    if message["type"] != "websocket.receive":
        return None
    sound: bytes | None = message.get("bytes")
    if sound is not None:
        return sound
    text: str = message.get("text") or ""
    return text


def _take_playhead(call: LiveCall, resume: Resume) -> None:
    if resume.response_id is not None and resume.played_ms is not None:
        played = ev.Played(response_id=resume.response_id, played_ms=resume.played_ms)
        _pass_on(call, played)


def _pass_on(call: LiveCall, inbound: Inbound) -> None:
    match inbound:
        case ClientAudio(position, pcm):
            call.intake.take(position, pcm)
        case ev.TalkStarted():
            call.intake.talk(True)
        case ev.TalkStopped():
            call.intake.talk(False)
        case ev.Muted(muted=muted):
            call.intake.mute(muted)
        case TurnsMode(push_to_talk):
            call.intake.use_push_to_talk(push_to_talk)
        case ev.Played(response_id=response_id, played_ms=played_ms):
            call.runner.playout.played(response_id, played_ms)
            call.runner.post(inbound)
        case _:
            call.runner.post(inbound)
