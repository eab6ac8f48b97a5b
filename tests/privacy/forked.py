"""Run a function in a process of its own that is killed in the middle."""

import os
import signal
from collections.abc import Callable

from django.db import connection, connections


def in_a_process(function: Callable[[], object], *, kill_at: int) -> int:
    """Killed before its statement of that number; returns the exit code, -9 when it was killed."""
    connections.close_all()
    if hasattr(connection, "close_pool"):
        connection.close_pool()
    if not (pid := os.fork()):
        code = 1
        try:
            with connection.execute_wrapper(_Killer(kill_at)):
                function()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


class _Killer:
    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, execute, sql, params, many, context):
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        return execute(sql, params, many, context)
