"""Prepare what is missing and serve: the one command of a first visit."""

import errno
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from typing_extensions import override

from voiceapp import preparing, serving
from voiceapp.bootstrap import DEFAULT_HOST, DEFAULT_PORT

T = TypeVar("T")


class Command(BaseCommand):
    """Database, static files, demo agent, administrator, server."""

    help = "Set everything up where needed, then serve on this machine."
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen."""
        parser.add_argument("--host", default=DEFAULT_HOST, help="address to listen on")
        parser.add_argument(
            "--port", type=int, default=DEFAULT_PORT, help="port to listen on; 0: any free one"
        )

    @override
    def handle(self, *, host: str, port: int, **_: Any) -> None:
        """Do it; returns only by leaving the process."""
        listener = serving.listener_or_error(host, port)
        self._step("Database", preparing.migrate)
        self._step("Static files", preparing.collect_static)
        self._step("Demo agent", preparing.ensure_demo_agent)
        password = self._step("Administrator", preparing.ensure_admin)
        self.check()
        url = serving.url_of(listener)
        serving.serve(listener, lambda: self._greet(url, password))

    def _step(self, name: str, work: Callable[[], T]) -> T:
        """Run one step; a line with its seconds when there was something to do."""
        began_s = time.monotonic()
        try:
            done = work()
        except (OSError, DatabaseError) as error:
            raise CommandError(f"{name}: {_explain(error)}") from error
        if done:
            self.stdout.write(f"{name:<20} {'done':<24} {time.monotonic() - began_s:5.1f} s")
        return done

    def _greet(self, url: str, password: str | None) -> None:
        who = f"user {preparing.ADMIN_NAME}"
        how = f"password {password} (shown only this once)" if password else "as you set it up"
        self.stdout.write(f"\n  Call page   {url}/\n  Admin       {url}/admin/   {who}, {how}\n")
        self.stdout.write("\nCtrl-C ends the server.\n")
        self.stdout.flush()


def _explain(error: Exception) -> str:
    full = "disk is full" in str(error) or getattr(error, "errno", None) == errno.ENOSPC
    return "the disk is full." if full else str(error)
