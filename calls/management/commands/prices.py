"""Prices of services from the command line."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from typing_extensions import override

from calls.conf import calls_settings
from calls.models import Price
from calls.store.pricing import PricesFileError, prices_load


class Command(BaseCommand):
    """None come with this app: a price is what a provider's page says on the day it is read."""

    help = "List the prices of services, or load them from a file."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--load",
            metavar="FILE",
            type=Path,
            help="a JSON list of objects, or a CSV table with a heading, of provider, model, "
            "figure, amount, per, valid_from; a price of the same provider, model, figure and day "
            "is replaced, others stay, so that loading a file twice changes nothing",
        )

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        if options["load"] is not None:
            self._load(options["load"])
        else:
            self._list()

    def _load(self, file: Path) -> None:
        try:
            count = prices_load(file)
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
        except PricesFileError as error:
            raise CommandError(f"{file}: {error} Nothing was loaded.") from None
        self.stdout.write(f"{count} prices stand as the file says.")

    def _list(self) -> None:
        currency = calls_settings().currency
        rows = list(Price.objects.all())
        for row in rows:
            amount = f"{row.amount.normalize():f} {currency} per {row.per:,}"
            what = f"{row.provider:<14} {row.model or 'any model':<28} {row.figure:<20}"
            self.stdout.write(f"{what} {amount:<28} from {row.valid_from}")
        if not rows:
            self.stdout.write("There are no prices: nothing that is used costs anything here.")
