"""A web server for files, with faults that can be switched on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


class FileServer(ThreadingHTTPServer):
    """Serves `files` by path.

    Attributes:
        cut_after_bytes: break the connection after so many bytes of a body.
        stalls: send half of the body, then nothing more until the server ends.
        ranges: whether it understands Range.
        endless: ignore the length of the file and go on for ever.
        etag: what it calls every file; empty: nothing.
        asked: path, Range and If-Range of each request.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.cut_after_bytes: int | None = None
        self.stalls = False
        self.ranges = True
        self.endless = False
        self.etag = '"one"'
        self.asked: list[tuple[str, str, str]] = []
        self.released = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is part of these tests."""


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version: ClassVar[str] = "HTTP/1.1"

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        fault, wanted = self.server, self.headers.get("Range", "")
        condition = self.headers.get("If-Range", "")
        fault.asked.append((self.path, wanted, condition))
        body = fault.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        begin = 0
        if wanted and fault.ranges and condition in ("", fault.etag):
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(body) > 0 and begin:
            self.send_error(416)
            return
        self._answer(body, begin)

    def _answer(self, body: bytes, begin: int) -> None:
        fault = self.server
        self.close_connection = True
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        if fault.etag:
            self.send_header("ETag", fault.etag)
        if not fault.endless:
            self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        rest = body[begin:]
        if fault.stalls:
            self.wfile.write(rest[: len(rest) // 2])
            fault.released.wait()
        elif fault.cut_after_bytes is not None:
            self.wfile.write(rest[: fault.cut_after_bytes])
        else:
            self.wfile.write(rest)
        while fault.endless and not fault.released.is_set():
            self.wfile.write(bytes(1 << 16))


@contextmanager
def file_server(files: dict[str, bytes]) -> Iterator[FileServer]:
    server = FileServer(files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
