"""Bring the database up to date, once for all processes of a deployment."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection
from typing_extensions import override

from voiceapp import preparing


class Command(BaseCommand):
    """Tables, demo agent, the row of the own site; no files and no administrator."""

    help = "Bring the database to the newest tables, and make the demo agent and the own site."

    @override
    def handle(self, **_: Any) -> None:
        """Do it; running it again changes nothing."""
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = 0")  # a large table takes its time
        done = preparing.migrate()
        preparing.ensure_demo_agent()
        preparing.ensure_own_site()
        self.stdout.write("The tables are up to date." if not done else "The tables were updated.")
