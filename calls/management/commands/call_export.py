"""Write down everything that is stored of somebody's calls."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from typing_extensions import override

from calls.management.naming import named, naming_arguments
from calls.store.exports import export_calls


class Command(BaseCommand):
    """One JSON file a call, and its recording beside it; docs/data.md says what stands in them."""

    help = "Export the calls of a caller, or some calls, into a folder: JSON and sound."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        naming_arguments(parser)
        parser.add_argument("--to", required=True, type=Path, metavar="FOLDER")

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        call_ids = list(named(options).values_list("pk", flat=True))
        try:
            count = export_calls(call_ids, options["to"], actor="manage.py call_export")
        except OSError as error:
            raise CommandError(f"The folder cannot be written to: {error.strerror}.") from None
        self.stdout.write(f"Calls exported: {count}.")
