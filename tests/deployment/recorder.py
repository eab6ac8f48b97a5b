"""Stands behind the proxy in the place of a call server, and remembers what came."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_S = 10
TEXT = "Words, and words again. " * 200
PIECE = b"0123456789"


class Recorder(ThreadingHTTPServer):
    """Answers by path: `/hold` when it is let go, `/sound` with sound, streams in two pieces."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port: int = self.server_address[1]
        self.requests: list[dict[str, Any]] = []
        self.let_go = threading.Event()
        self.first_piece = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def do_GET(self) -> None:
        self._remember()
        if self.path.startswith("/hold"):
            self.server.let_go.wait(PATIENCE_S)
        if self.path.startswith("/text-to-speech-stream"):
            self._stream()
        elif self.path.startswith("/sound"):
            self._answer("audio/wav", bytes(20_000))
        else:
            self._answer("text/html; charset=utf-8", TEXT.encode())

    def do_POST(self) -> None:
        self._remember()
        if self.headers.get("Transfer-Encoding") == "chunked":
            self._chunk()
            self.server.first_piece.set()
            while self._chunk():
                pass
        else:
            self.rfile.read(int(self.headers["Content-Length"]))
        self._answer("text/plain", b"taken")

    def _remember(self) -> None:
        names = [name.lower() for name in self.headers]
        headers = {name: self.headers.get_all(name) for name in names}
        self.server.requests.append({"path": self.path, "headers": headers})

    def _chunk(self) -> int:
        length = int(self.rfile.readline(), 16)
        self.rfile.read(length + 2)
        return length

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "audio/l16")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(2):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
            self.server.let_go.wait(PATIENCE_S)
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, kind: str, body: bytes) -> None:
        with suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def recording() -> Iterator[Recorder]:
    """One that listens."""
    recorder = Recorder()
    thread = threading.Thread(target=recorder.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield recorder
    finally:
        recorder.let_go.set()
        recorder.shutdown()
        recorder.server_close()
        thread.join(PATIENCE_S)
