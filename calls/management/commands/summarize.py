"""Write the summaries that are due, outside the server."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from typing_extensions import override

from calls.store.summaries import summaries_loop, summaries_run_due
from calls.wiring.chores import summarizers


class Command(BaseCommand):
    """A server process does this beside its calls; run it here to keep the two apart."""

    help = (
        "Write the summaries of ended calls that wait for one. Goes on until interrupted, or with "
        "--once until none is due. Any number of these and of servers may run side by side."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop when no summary is due")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if options["once"]:
            taken = asyncio.run(summaries_run_due(summarizers))
            self.stdout.write(f"Summaries taken on: {taken}.")
            return
        try:
            asyncio.run(summaries_loop(summarizers))
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
