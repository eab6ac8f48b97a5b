"""Prices from files, all of one or none."""

import csv
import json
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from calls.models import Price

KEY = ("provider", "model", "figure", "valid_from")
COLUMNS = (*KEY, "amount", "per")
MOST_BYTES = 4 * 1024 * 1024


class PricesFileError(ValueError):
    """What is in the file is no list of prices; the message says where and why."""


def prices_load(file: Path) -> int:
    """Have the prices of a file stand as it says; how many it holds. Others stay as they are.

    Raises:
        PricesFileError: nothing was changed.
        OSError: it cannot be read.
    """
    rows = [_row(number, entry) for number, entry in enumerate(_entries(file), 1)]
    with transaction.atomic():
        for row in rows:
            key = {name: getattr(row, name) for name in KEY}
            rest = {"amount": row.amount, "per": row.per}
            Price.objects.update_or_create(**key, defaults=rest)
    return len(rows)


def _entries(file: Path) -> Iterable[Mapping[str, Any]]:
    with file.open("rb") as opened:
        raw = opened.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise PricesFileError("It is too large.")
    try:
        text = raw.decode("utf-8-sig")
        found = json.loads(text) if text.lstrip().startswith(("[", "{")) else _table(text)
    except (ValueError, RecursionError, csv.Error):
        raise PricesFileError("It is neither JSON nor CSV in UTF-8.") from None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise PricesFileError("It has to be a list of objects.")
    return found


def _table(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(text.splitlines()))


def _row(number: int, entry: Mapping[str, Any]) -> Price:
    """The price of one entry.

    Raises:
        PricesFileError: it is none.
    """
    where = f"Price {number}"
    if strangers := {str(name) for name in entry} - set(COLUMNS):
        raise PricesFileError(f"{where} has {', '.join(sorted(strangers))}, which nobody knows.")
    try:
        row = Price(
            provider=str(entry.get("provider") or "").strip(),
            model=str(entry.get("model") or "").strip(),
            figure=str(entry.get("figure") or "").strip(),
            amount=Decimal(str(entry.get("amount", ""))),
            per=_per(entry.get("per")),
            valid_from=date.fromisoformat(str(entry.get("valid_from", ""))),
        )
        row.full_clean(validate_unique=False, validate_constraints=False)
    except InvalidOperation:
        raise PricesFileError(f"{where}: amount is no number.") from None
    except ValidationError as error:
        raise PricesFileError(f"{where}: {_first(error)}") from None
    except ValueError:
        raise PricesFileError(f"{where}: per or valid_from is wrong.") from None
    return row


def _per(value: object) -> int:
    return 1_000_000 if value in (None, "") else int(str(value))


def _first(error: ValidationError) -> str:
    name, words = next(iter(error.message_dict.items()))
    return f"{name}: {words[0]}"
