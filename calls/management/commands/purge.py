"""Remove what has been kept long enough."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from typing_extensions import override

from calls.store.retention import purge

WORDS = {
    "recordings": "recordings",
    "texts": "transcripts with their summaries",
    "callers": "callers made unknown",
    "conversations": "conversations with all their figures",
    "files": "files that belong to nothing",
    "tokens": "expired tokens",
    "work": "rows of finished work",
}


class Command(BaseCommand):
    """The background work does the same once an hour."""

    help = (
        "Remove recordings, words and figures that are older than KEEP_AUDIO_DAYS, KEEP_TEXT_DAYS "
        "and KEEP_FIGURES_DAYS or their agent allow, and what nobody needs any more. Safe at any "
        "time, any number of times."
    )

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say only what would go")
        parser.add_argument("--json", action="store_true", help="say so in JSON")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        purged = purge(dry_run=options["dry_run"]).as_json()
        if options["json"]:
            self.stdout.write(json.dumps(purged))
            return
        for name, count in purged.items():
            self.stdout.write(f"{count:6} {WORDS[name]}")
