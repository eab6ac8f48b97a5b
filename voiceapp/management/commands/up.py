"""Prepare what is missing and serve: the one command of a first visit."""

import errno
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from typing_extensions import override

from voiceapp import preparing, serving

T = TypeVar("T")


class Command(BaseCommand):
    """Database, static files, demo agent, administrator, server."""

    help = "Set everything up where needed, then serve on this machine."
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen, and how much to take."""
        serving.add_arguments(parser)

    @override
    def handle(self, *, host: str, port: int, backlog: int, body_bytes: int, **_: Any) -> None:
        """Do it; returns only by leaving the process."""
        listener = serving.listener_or_error(host, port, backlog)
        self._step("Database", preparing.migrate)
        self._step("Static files", preparing.collect_static)
        self._step("Demo agent", preparing.ensure_demo_agent)
        self._step("Own site", preparing.ensure_own_site)
        password = self._step("Administrator", preparing.ensure_admin)
        self.check()
        url = serving.url_of(listener)
        serving.serve(listener, lambda: self._greet(url, password), body_bytes)

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
        admin = f"{url}/{settings.ADMIN_PATH}"
        self.stdout.write(f"\n  Call page   {url}/\n  Admin       {admin}   {who}, {how}\n")
        self.stdout.write("\nCtrl-C ends the server.\n")
        self.stdout.flush()


def _explain(error: Exception) -> str:
    full = "disk is full" in str(error) or getattr(error, "errno", None) == errno.ENOSPC
    return "the disk is full." if full else str(error)
