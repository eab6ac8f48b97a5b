"""Serve, and prepare nothing: for installations where something else migrates and collects."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from typing_extensions import override

from voiceapp import serving
from voiceapp.bootstrap import DEFAULT_HOST, DEFAULT_PORT


class Command(BaseCommand):
    """The server alone."""

    help = "Serve pages and calls. SIGTERM lets calls end first."

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
        url = serving.url_of(listener)
        serving.serve(listener, lambda: self._say(url))

    def _say(self, url: str) -> None:
        self.stdout.write(f"Serving on {url}")
        self.stdout.flush()
