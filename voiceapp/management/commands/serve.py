"""Serve, and prepare nothing: for installations where something else migrates and collects."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from typing_extensions import override

from voiceapp import serving


class Command(BaseCommand):
    """The server alone."""

    help = "Serve pages and calls. SIGTERM lets calls end first."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen, and how much to take."""
        serving.add_arguments(parser)

    @override
    def handle(self, *, host: str, port: int, backlog: int, body_bytes: int, **_: Any) -> None:
        """Do it; returns only by leaving the process."""
        listener = serving.listener_or_error(host, port, backlog)
        url = serving.url_of(listener)
        serving.serve(listener, lambda: self._say(url), body_bytes)

    def _say(self, url: str) -> None:
        self.stdout.write(f"Serving on {url}")
        self.stdout.flush()
