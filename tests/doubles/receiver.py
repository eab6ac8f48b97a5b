"""Somebody's server that gets webhooks: a real one on loopback, honest, slow, lying or broken.

The path says how it behaves: `/ok`, `/status/500`, `/hang`, `/garbage`, `/unread`, `/cut`,
`/endless`, `/redirect`, `/silent`, `/headers`. It runs in a thread of its own, so that it is there
for tests with and without an event loop, and for other processes.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_GIVE_UP_S = 15


@dataclass(frozen=True)
class Received:
    """One request; header names are small."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


class Receiver:
    """Remembers what it was sent, in order; see the module for how it answers.

    Args:
        port: to listen on; 0: any.
        answer: the body of what `/ok` answers, with its kind.
    """

    def __init__(self, port: int = 0) -> None:
        self.received: list[Received] = []
        self.answer: tuple[str, bytes] = ("application/json", b"{}")
        self.connections = 0
        self.endless_bytes = 0
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._released: asyncio.Event | None = None
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        assert self._up.wait(_GIVE_UP_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_GIVE_UP_S)

    def release(self) -> None:
        """Whatever hangs gets its answer now, and from now on."""
        assert self._released is not None
        self._loop.call_soon_threadsafe(self._released.set)

    def until(self, count: int, path: str = "") -> list[Received]:
        """What came, once there is so much of it."""
        give_up = time.monotonic() + _GIVE_UP_S
        while len(found := [each for each in self.received if each.path.startswith(path)]) < count:
            assert time.monotonic() < give_up, f"only {len(found)} of {count}"
            time.sleep(0.01)
        return found

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        self._released, self._stopping = asyncio.Event(), asyncio.Event()
        self._open: set[asyncio.Task] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        await self._stopping.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader, writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self.connections += 1
        try:
            await self._serve_one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve_one(self, reader, writer) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {}
        for line in head[1:-2]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if path.startswith("/unread"):
            self.received.append(Received(path, headers, b""))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.received.append(Received(path, headers, body))
        await self._answer(path, writer)

    async def _answer(self, path: str, writer) -> None:
        _, name, *more = path.partition("?")[0].split("/")
        match name:
            case "hang":
                assert self._released is not None
                await self._released.wait()
            case "silent":
                return
            case "headers" | "endless":
                await self._without_end(name, writer)
        writer.write(self._words(name, more))
        await writer.drain()

    def _words(self, name: str, more: list[str]) -> bytes:
        kind, body = self.answer
        place = f"Location: {self.url}/ok?redirected"
        known = {
            "status": ("".join(more), "X: 1", b"no"),
            "redirect": ("307", place, b""),
            "hang": ("200", "X: 1", b""),
        }
        if name == "garbage":
            return b"\x00\xff this is not HTTP at all\r\n\r\n"
        if name == "cut":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf an ans"
        status, header, content = known.get(name, ("200", f"Content-Type: {kind}", body))
        lines = (f"HTTP/1.1 {status} So", header, f"Content-Length: {len(content)}", "", "")
        return "\r\n".join(lines).encode() + content

    async def _without_end(self, name: str, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if name == "endless" else b""))
        piece = b"x" * 4_096 if name == "endless" else b"X-More: " + b"x" * 1_000 + b"\r\n"
        while True:
            writer.write(piece)
            self.endless_bytes += len(piece)
            await writer.drain()


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """A receiver that is there for a while."""
    made = Receiver(port)
    made.start()
    try:
        yield made
    finally:
        made.stop()
