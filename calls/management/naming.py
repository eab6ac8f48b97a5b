"""How commands are told which calls they are about."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from calls.models import Conversation
from calls.store.callers import calls_named


def naming_arguments(parser: CommandParser) -> None:
    parser.add_argument("--caller", default="", help="all calls with this caller reference")
    parser.add_argument(
        "--call", action="append", default=[], metavar="ID", help="this call; may be repeated"
    )


def named(options: dict[str, Any]) -> QuerySet[Conversation]:
    """The calls that the options name.

    Raises:
        CommandError: they name none.
    """
    if not options["caller"] and not options["call"]:
        raise CommandError("Name a caller with --caller, or calls with --call.")
    return calls_named(caller=options["caller"], call_ids=options["call"])
