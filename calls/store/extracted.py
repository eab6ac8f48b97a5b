"""Data that was picked out of a conversation, as a reviewer reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calls.models import Summary, SummaryState

DEEPEST_SHOWN = 5
"""What is nested deeper is shown as JSON."""

WAITING = "It is picked out with the summary."
MISSING = "Nothing was picked out."


@dataclass(frozen=True, slots=True)
class Value:
    """A value in one of three forms: named fields, entries of a list, or text."""

    text: str = ""
    fields: tuple[tuple[str, "Value"], ...] = ()
    entries: tuple["Value", ...] = ()


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was picked out, or why there is nothing. `value` is None in the latter case."""

    value: Value | None
    reason: str = ""


def extracted(summary: Summary | None, settings: Mapping[str, object]) -> Extracted | None:
    """What was picked out by the schema of the agent's settings; None: it was not asked for."""
    if summary is None:
        return None
    if summary.extracted is not None:
        return Extracted(value_of(summary.extracted))
    if summary.extraction_error:
        return Extracted(None, summary.extraction_error)
    if not settings.get("extraction_schema"):
        return None
    waiting = summary.state in (SummaryState.PENDING, SummaryState.RUNNING)
    return Extracted(None, WAITING if waiting else MISSING)


def value_of(data: Any, depth: int = DEEPEST_SHOWN) -> Value:
    if data and depth and isinstance(data, Mapping):
        return Value(fields=tuple((str(k), value_of(v, depth - 1)) for k, v in data.items()))
    if data and depth and isinstance(data, list):
        return Value(entries=tuple(value_of(entry, depth - 1) for entry in data))
    return Value(_text(data))


def _text(data: Any) -> str:
    if data is None:
        return "–"
    if isinstance(data, bool):
        return "yes" if data else "no"
    if data in ([], {}):
        return "none"
    if isinstance(data, str):
        return data or "–"
    return json.dumps(data, ensure_ascii=False)
