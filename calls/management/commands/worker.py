"""Do the background work, outside the servers."""

import asyncio
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from calls.store.database import AWAY
from calls.wiring.chores import chores, run_due_once
from calls.wiring.worker import Worker


class Command(BaseCommand):
    """Servers with BACKGROUND=worker leave all this to it."""

    requires_system_checks = ()  # it starts while the database is away as well
    help = (
        "Write summaries, tell webhooks, redact, erase, and remove what is too old, until SIGTERM "
        "or Ctrl-C: then it takes nothing more, finishes what it holds, and leaves. Any number of "
        "these may run side by side; a worker that is killed loses nothing: another one takes its "
        "work up when its lease is over (LEASE_SECONDS). Outages of the database are waited out."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do what is due now, and stop")
        parser.add_argument(
            "--alive-file",
            type=Path,
            metavar="FILE",
            help="touch it every 5 seconds, for a supervisor to look at",
        )

    @override
    def handle(self, *, once: bool, alive_file: Path | None, **_: Any) -> None:
        if not once:
            try:
                asyncio.run(Worker(alive_file).run())
            finally:
                if alive_file is not None:
                    alive_file.unlink(missing_ok=True)
            return
        try:
            done = asyncio.run(run_due_once(chores()))
        except AWAY as error:
            raise CommandError(f"The database is away ({type(error).__name__}).") from None
        told = ", ".join(f"{kind} {count}" for kind, count in done.items())
        self.stdout.write(f"Done: {told}.")
