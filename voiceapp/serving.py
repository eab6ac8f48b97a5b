"""Starts the server for the commands that do."""

import gc
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import connections

from voiceapp.bootstrap import DEFAULT_HOST, DEFAULT_PORT, USUAL_THRESHOLDS, port_refused

logger = logging.getLogger(__name__)

_LEFT_WITHIN_S = 5

_ENDED_WITHIN_MS = 10_000
"""From the deadline of the turns on: for last words, and for what is still to be written."""

FILES_A_CALL = 4
"""A socket, a recording, and what a call's services take: so many open files a call may need."""


def add_arguments(parser: CommandParser) -> None:
    """Where to listen, and how much to take."""
    from voiceapp.server import DEFAULT_LIMITS

    parser.add_argument("--host", default=DEFAULT_HOST, help="address to listen on")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="port to listen on; 0: any free one"
    )
    parser.add_argument(
        "--backlog",
        type=_positive,
        default=DEFAULT_LIMITS.listen_backlog,
        help="connections that may wait in the kernel to be accepted",
    )
    parser.add_argument(
        "--body-bytes",
        type=_positive,
        default=DEFAULT_LIMITS.request_body_bytes,
        help="the largest body of a request; a larger one is answered 413",
    )


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def listener_or_error(host: str, port: int, backlog: int) -> socket.socket:
    """Take the port.

    Raises:
        CommandError: it cannot be had; one line says why.
    """
    from voiceapp.server import listen

    try:
        return listen(host, port, backlog)
    except OSError as error:
        raise CommandError(port_refused(host, port, error)) from error


def serve(listener: socket.socket, on_ready: Callable[[], None], body_bytes: int) -> None:
    """Serve the application until a signal comes, then leave the process.

    Raises:
        CommandError: the application did not start.
    """
    from calls.asgi import message_bytes
    from calls.conf import calls_settings
    from voiceapp.asgi import application
    from voiceapp.server import Limits, Server

    gc.set_threshold(*USUAL_THRESHOLDS)
    connections.close_all()  # what prepared the database does not serve
    if too_few := files_missing(calls_settings().max_calls):
        logger.warning(too_few)
    limits = Limits(
        websocket_message_bytes=message_bytes,
        request_body_bytes=body_bytes,
        drain_ms=calls_settings().drain_ms + _ENDED_WITHIN_MS,
    )
    server = Server(application, listener, limits=limits, on_ready=on_ready)
    server.run()
    if server.failed:
        raise CommandError("The application did not start; the lines above say why.")
    _leave_soon()
    sys.exit(0)


def files_missing(max_calls: int) -> str:
    """One sentence if the process may not open as many files as its calls need; empty: it may."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    allowed: Any = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = FILES_A_CALL * max_calls
    if allowed == resource.RLIM_INFINITY or allowed >= needed:
        return ""
    return (
        f"This process may open {allowed} files; {max_calls} calls may need {needed}. "
        f"Raise the limit (ulimit -n {needed}), or lower MAX_CALLS."
    )


def _leave_soon() -> None:
    """A thread that waits for a database or an engine must not hold the process for ever.

    Nor need all of memory be looked through for garbage once more.
    """
    gc.freeze()
    deadline = threading.Timer(_LEFT_WITHIN_S, os._exit, [0])
    deadline.daemon = True
    deadline.start()


def url_of(listener: socket.socket) -> str:
    """Where a browser finds what listens there."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - a comparison
        host = "localhost"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
