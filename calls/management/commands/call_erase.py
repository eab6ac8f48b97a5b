"""Forget somebody's calls."""

import json
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from calls.management.naming import named, naming_arguments
from calls.models import Erasure, Recording, WorkState
from calls.store.erasure import erasure_request, erasures_work

LOOK_S = 0.5


class Command(BaseCommand):
    """Does the work itself; what it cannot finish at once the server's background work does."""

    help = (
        "Erase all calls of a caller, or some calls: words, sound, summaries, figures, search "
        "index, journals. Live ones are ended first. Cut off, it finishes the next time."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        naming_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="say only what would go")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--wait", action="store_true", help="until all of it is done")
        parser.add_argument("--json", action="store_true", help="say so in JSON")
        parser.add_argument(
            "--vacuum-full",
            action="store_true",
            help="PostgreSQL: rewrite the tables, which locks them for so long",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        call_ids = list(named(options).values_list("pk", flat=True))
        recordings = Recording.objects.filter(pk__in=call_ids).count()
        found = {"conversations": len(call_ids), "recordings": recordings}
        if options["dry_run"]:
            self._say(options, {"state": "dry run", **found})
            return
        if not options["yes"]:
            self._ask(len(call_ids))
        row = erasure_request(
            caller=options["caller"],
            call_ids=options["call"],
            actor="manage.py call_erase",
        )
        self._work(row, options)
        row.refresh_from_db()
        found = {"conversations": row.conversations, "recordings": row.recordings}
        self._say(options, {"state": row.state, "why": row.error, **found})

    def _ask(self, count: int) -> None:
        self.stdout.write(f"{count} calls will be erased everywhere. There is no way back.")
        if input("Type “yes” to go on: ").strip().lower() != "yes":
            raise CommandError("Nothing was erased.")

    def _work(self, row: Erasure, options: dict[str, Any]) -> None:
        while True:
            erasures_work(full=options["vacuum_full"])
            row.refresh_from_db()
            if row.state == WorkState.DONE or not options["wait"]:
                return
            time.sleep(LOOK_S)

    def _say(self, options: dict[str, Any], told: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps(told))
            return
        counted = f"Calls: {told['conversations']}. Recordings: {told['recordings']}."
        open_ = told["state"] not in (WorkState.DONE, "dry run")
        later = f" Not all is done: {told['why']} The background work goes on." if open_ else ""
        self.stdout.write(counted + later)
