"""The way between a page and the server: a TCP proxy that can be cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.doubles import output_probe

_CHUNK_BYTES = 65_536
_PROBE = f"GET {output_probe.WORKLET_PATH} ".encode()


class Way:
    """Passes everything on.

    It answers for the output probe itself, so that the page's security policy stays in force
    while its sound is recorded.

    Args:
        port: of the server, on this machine.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = ""
        self._open = True
        self._writers: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Abort every connection, and refuse new ones."""
        self._open = False
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._open = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the page."""
        if not self._open:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        both = {writer, far_writer}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._up(reader, far_writer, writer))
                group.create_task(self._down(far_reader, writer))
        except* OSError:
            pass
        finally:
            self._writers -= both
            for end in both:
                end.transport.abort()

    async def _up(
        self,
        reader: asyncio.StreamReader,
        server: asyncio.StreamWriter,
        page: asyncio.StreamWriter,
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            writer, passed = (page, _probe()) if data.startswith(_PROBE) else (server, data)
            writer.write(passed)
            await writer.drain()
        server.close()

    async def _down(self, reader: asyncio.StreamReader, page: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            page.write(data)
            await page.drain()
        page.close()


def _probe() -> bytes:
    body = output_probe.WORKLET.read_bytes()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@asynccontextmanager
async def way_to(port: int) -> AsyncIterator[Way]:
    """A way to the server at `port`, at an address of its own."""
    way = Way(port)
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    way.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield way
    finally:
        server.close()
        way.cut()
