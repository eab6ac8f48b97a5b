"""Other people's web servers: pages of any content, with any headers, at origins of their own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

Answer = Callable[[BaseHTTPRequestHandler], bytes]


@dataclass(slots=True)
class Host:
    """One origin.

    Attributes:
        pages: by path: the body, or what makes it, its type and its headers.
        asked: the paths that were asked for, with the cookies that came along.
    """

    origin: str
    pages: dict[str, tuple[bytes | Answer, str, dict[str, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def put(self, path: str, body: bytes | str | Answer, kind: str = "text/html", **headers: str):
        """Serve it from now on; headers are written with underscores. Gives the address."""
        content = body.encode() if isinstance(body, str) else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[path] = (content, kind, named)
        return f"{self.origin}{path}"


@contextmanager
def serving(name: str) -> Iterator[Host]:
    """Serve a host under this name of the machine, on a free port."""
    host = Host("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            host.asked.append((path, self.headers.get("Cookie", "")))
            found = host.pages.get(path)
            body, kind, headers = found or (b"", "text/plain", {})
            content = body if isinstance(body, bytes) else body(self)
            self.send_response(200 if found or path == "/favicon.ico" else 404)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            for header, value in headers.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.origin = f"http://{name}:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
