"""Starts the server for the commands that do."""

import os
import socket
import sys
import threading
from collections.abc import Callable

from django.core.management.base import CommandError
from django.db import connections

from voiceapp.bootstrap import port_refused

_LEFT_WITHIN_S = 5


def listener_or_error(host: str, port: int) -> socket.socket:
    """Take the port.

    Raises:
        CommandError: it cannot be had; one line says why.
    """
    from voiceapp.server import listen

    try:
        return listen(host, port)
    except OSError as error:
        raise CommandError(port_refused(host, port, error)) from error


def serve(listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve the application until a signal comes, then leave the process.

    Raises:
        CommandError: the application did not start.
    """
    from calls.asgi import message_bytes
    from voiceapp.asgi import application
    from voiceapp.server import Limits, Server

    connections.close_all()  # what prepared the database does not serve
    limits = Limits(websocket_message_bytes=message_bytes)
    server = Server(application, listener, limits=limits, on_ready=on_ready)
    server.run()
    if server.failed:
        raise CommandError("The application did not start; the lines above say why.")
    _leave_soon()
    sys.exit(0)


def _leave_soon() -> None:
    """A thread that waits for a database or an engine must not hold the process for ever."""
    deadline = threading.Timer(_LEFT_WITHIN_S, os._exit, [0])
    deadline.daemon = True
    deadline.start()


def url_of(listener: socket.socket) -> str:
    """Where a browser finds what listens there."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - a comparison
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
