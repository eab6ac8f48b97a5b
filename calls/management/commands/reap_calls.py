"""Close the calls that dead processes left open."""

from typing import Any

from django.core.management.base import BaseCommand
from typing_extensions import override

from calls.store.reaper import reap


class Command(BaseCommand):
    """The server does the same when it starts and every half minute."""

    help = (
        "Write what waits in the journals of dead server processes, close the calls they left "
        "open, and repair their recordings. Safe at any time."
    )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        reaped = reap()
        self.stdout.write(
            f"Journal entries written: {reaped.units}. Calls closed: {reaped.conversations}. "
            f"Recordings repaired: {reaped.recordings}."
        )
