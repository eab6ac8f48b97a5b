"""A server that speaks browser protocol version 1 by a script, and serves the call page.

It plays what a real server would: sound under a credit window of what the page says it played,
captions, items, `clear`, a socket that drops. What the page says is written down with its time.
"""

import asyncio
import json
import mimetypes
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tests.doubles import output_probe

AGENT_RATE_HZ = 24_000
CREDIT_MS = 400
CHUNK_MS = 20
WAIT_S = 15.0
STATIC = Path(settings.BASE_DIR) / "static"

Script = Callable[["Line"], Awaitable[None]]


class LineGoneError(Exception):
    """The page has left, and the script waits for it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A text message of the page."""

    at_s: float
    message: dict[str, Any]


@dataclass(slots=True)
class Playback:
    """What is known of one response's sound."""

    sent_ms: int = 0
    played_ms: int = 0
    cut_ms: int | None = None


@dataclass(slots=True)
class Line:
    """One socket of the page, from its `start` on."""

    connection: ServerConnection
    start: dict[str, Any]
    number: int
    """0 for the first socket of the test, counting up."""
    heard: list[Heard] = field(default_factory=list)
    microphone: dict[int, bytes] = field(default_factory=dict)
    """PCM by the position of its first sample."""
    playbacks: dict[int, Playback] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    gone: bool = False

    # What the server says

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def ready(self, **changes: Any) -> None:
        resume = self.start["resume"]
        await self.send(
            **{
                "type": "ready",
                "v": 1,
                "call_id": "c1",
                "resume_secret": f"secret-{self.number}",
                "resumed": resume is not None,
                "agent": {"slug": "demo", "name": "Demo agent"},
                "language": "en",
                "notice": "",
                "recording": True,
                "providers": {"stt": "pocketsphinx", "llm": "script", "tts": "espeak-ng"},
                "audio": {"rate_hz": AGENT_RATE_HZ},
                "microphone_position": 0,
                "turns": self.start["turns"],
                "limits": {"max_call_ms": 900_000, "resume_ms": 30_000},
                **changes,
            }
        )

    async def phase(self, phase: str) -> None:
        await self.send(type="phase", phase=phase)

    async def text(self, response_id: int, text: str, start_ms: int = 0) -> None:
        await self.send(type="response_text", response_id=response_id, text=text, start_ms=start_ms)

    async def sound(
        self, response_id: int, pcm: bytes, start_ms: int = 0, *, end: bool = True
    ) -> None:
        """Send sound under the credit window; stops by itself once the page has cut it."""
        playback = self.playback(response_id)
        playback.played_ms = max(playback.played_ms, start_ms)
        chunk_bytes = 2 * AGENT_RATE_HZ * CHUNK_MS // 1000
        for offset in range(0, len(pcm), chunk_bytes):
            playback.sent_ms = start_ms + offset * 1000 // (2 * AGENT_RATE_HZ)
            await self.until(
                lambda: (
                    playback.cut_ms is not None or playback.sent_ms - playback.played_ms < CREDIT_MS
                )
            )
            if playback.cut_ms is not None:
                return
            header = struct.pack("<II", response_id, playback.sent_ms)
            await self.connection.send(header + pcm[offset : offset + chunk_bytes])
        if end:
            length_ms = start_ms + len(pcm) * 1000 // (2 * AGENT_RATE_HZ)
            await self.send(type="audio_end", response_id=response_id, length_ms=length_ms)

    async def item(self, item_id: int, role: str, text: str, **changes: Any) -> None:
        source = {"user": "voice", "agent": "model", "tool": "tool"}[role]
        item = {
            "id": item_id,
            "role": role,
            "status": "complete",
            "source": source,
            "turn": 1,
            "text": text,
            "unheard": "",
            "started_ms": 0,
            "ended_ms": None,
            "response_id": None,
            "metadata": {},
        }
        await self.send(type="item", item=item | changes)

    async def end(self, reason: str) -> None:
        await self.send(type="end", reason=reason)
        await self.connection.close(1000)

    async def drop(self) -> None:
        """Let go without a word, as a network does."""
        self.connection.transport.abort()
        await self.connection.wait_closed()

    # What the page says

    def playback(self, response_id: int) -> Playback:
        return self.playbacks.setdefault(response_id, Playback())

    def of_type(self, kind: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.message["type"] == kind]

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait until the page has said enough.

        Raises:
            TimeoutError: it never does.
            LineGoneError: it cannot any more.
        """
        async with asyncio.timeout(WAIT_S):
            while not happened():
                if self.gone:
                    raise LineGoneError
                self.news.clear()
                await self.news.wait()

    async def said(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The `count`th message of that type, waited for."""
        await self.until(lambda: len(self.of_type(kind)) >= count)
        return self.of_type(kind)[count - 1].message

    async def played(self, response_id: int, ms: int) -> None:
        await self.until(lambda: self.playback(response_id).played_ms >= ms)

    async def listen(self) -> None:
        """Write down what comes, until the socket is gone."""
        try:
            async for data in self.connection:
                await self._take(data)
                self.news.set()
        except ConnectionClosed:
            pass
        finally:
            self.gone = True
            self.news.set()

    async def _take(self, data: str | bytes) -> None:
        if isinstance(data, bytes):
            (position,) = struct.unpack_from("<I", data)
            self.microphone[position] = data[4:]
            return
        message = json.loads(data)
        self.heard.append(Heard(time.monotonic(), message))
        if message["type"] == "ping":
            await self.send(type="pong", t=message["t"])
        elif message["type"] in ("played", "cut"):
            playback = self.playback(message["response_id"])
            playback.played_ms = max(playback.played_ms, message["played_ms"])
            if message["type"] == "cut":
                playback.cut_ms = message["played_ms"]


class CallServer:
    """Plays one script to every socket; the sockets are told apart by `Line.number`."""

    def __init__(self, script: Script, page: dict[str, Any], permissions_policy: str) -> None:
        self.script = script
        self.lines: list[Line] = []
        self.url = ""
        self._page = page
        self._permissions_policy = permissions_policy
        self._dialled = asyncio.Event()

    async def lines_of(self, count: int) -> list[Line]:
        """The sockets so far, once there are so many.

        Raises:
            TimeoutError: there never are.
        """
        async with asyncio.timeout(WAIT_S):
            while len(self.lines) < count:
                self._dialled.clear()
                await self._dialled.wait()
        return self.lines

    async def converse(self, connection: ServerConnection) -> None:
        start = json.loads(await connection.recv())
        line = Line(connection, start, number=len(self.lines))
        self.lines.append(line)
        self._dialled.set()
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(line.listen())
            try:
                await self.script(line)
                await listening
            except (ConnectionClosed, LineGoneError):
                pass
            finally:
                listening.cancel()

    def answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        """What is not a socket: the page and its files."""
        path = request.path.partition("?")[0]
        if path.startswith("/ws/"):
            return None
        if path == "/":
            return self._page_answer()
        if path == output_probe.WORKLET_PATH:
            return _answer(HTTPStatus.OK, output_probe.WORKLET.read_bytes(), "text/javascript")
        file = (STATIC / path.removeprefix("/static/")).resolve()
        if file.is_relative_to(STATIC) and file.is_file():
            return _answer(HTTPStatus.OK, file.read_bytes(), mimetypes.guess_type(path)[0] or "")
        return _answer(HTTPStatus.NOT_FOUND, b"")

    def _page_answer(self) -> Response:
        page = render_to_string("calls/call.html", self._page)
        response = _answer(HTTPStatus.OK, page.encode())
        response.headers["Permissions-Policy"] = self._permissions_policy
        return response


def _answer(status: HTTPStatus, body: bytes, kind: str = "text/html; charset=utf-8") -> Response:
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": content_security_policy(),
            "Connection": "close",
        }
    )
    return Response(status, status.phrase, headers, body)


def content_security_policy() -> str:
    """The project's own, as the header says it."""
    directives = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]
    return "; ".join(f"{name} {' '.join(values)}" for name, values in directives.items())


@asynccontextmanager
async def serve_calls(
    script: Script, *, permissions_policy: str = "", **agent: Any
) -> AsyncIterator[CallServer]:
    """The page at `url`, and a server behind it that plays `script`.

    Args:
        permissions_policy: of the page; the project's own, if none is given.
        agent: what is different about the agent that the page shows.
    """
    notice = (
        "Offline demo voice: English, quiet room, short sentences, robotic voice, scripted answers."
    )
    page = {
        "agent": {"slug": "demo", "name": "Demo agent", "language": "en", "consent_text": ""}
        | agent,
        "notice": notice,
        "ws_path": "/ws/call/demo/",
    }
    server = CallServer(script, page, permissions_policy or settings.PERMISSIONS_POLICY)
    async with serve(
        server.converse,
        "127.0.0.1",
        0,
        process_request=server.answer,
        compression=None,
        max_size=65_536,
    ) as listener:
        port = next(iter(listener.sockets)).getsockname()[1]
        server.url = f"http://127.0.0.1:{port}/"
        yield server
