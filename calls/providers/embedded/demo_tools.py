"""What the demo agent can do: tools of a practice that does not exist. They store nothing."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from calls.ports.tools import CallInfo, Tool, ToolError, ToolSpec

OPENS = "09:00"
CLOSES = "17:00"
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
_WEEKEND = ("saturday", "sunday")


class BookAppointment:
    """Confirms any appointment, with the same number for the same appointment."""

    timeout_ms = 5_000
    spec = ToolSpec(
        "book_appointment",
        "Book an appointment, once day, time and name are known and confirmed by the caller.",
        {
            "type": "object",
            "properties": {
                "day": {"type": "string", "description": "As the caller said it: Monday, tomorrow"},
                "time": {"type": "string", "description": "HH:MM, 24 hours"},
                "name": {"type": "string", "description": "The caller's name"},
            },
            "required": ["day", "time", "name"],
            "additionalProperties": False,
        },
    )

    async def run(self, call: CallInfo, arguments: Mapping[str, Any]) -> str:  # noqa: ARG002
        wanted = {key: str(arguments.get(key, "")).strip() for key in ("day", "time", "name")}
        if missing := [key for key, value in wanted.items() if not value]:
            raise ToolError(f"Missing: {', '.join(missing)}.")
        seed = "\n".join(wanted.values()).lower().encode()
        number = int.from_bytes(hashlib.sha256(seed).digest()[:4]) % 9_000 + 1_000
        return json.dumps({"booked": True, "confirmation": str(number), **wanted})


class OpeningHours:
    """Says when the practice is open on a day."""

    timeout_ms = 5_000
    spec = ToolSpec(
        "opening_hours",
        "Say when the practice is open on a day of the week.",
        {
            "type": "object",
            "properties": {"day": {"type": "string", "description": "Monday, Tuesday, and so on"}},
            "required": ["day"],
            "additionalProperties": False,
        },
    )

    async def run(self, call: CallInfo, arguments: Mapping[str, Any]) -> str:  # noqa: ARG002
        day = str(arguments.get("day", "")).strip()
        if day.lower() in _WEEKEND:
            return json.dumps({"day": day, "closed": True})
        if day.lower() in _WEEKDAYS:
            return json.dumps({"day": day, "opens": OPENS, "closes": CLOSES})
        raise ToolError("Name a day of the week.")


def demo_tools() -> tuple[Tool, ...]:
    return (BookAppointment(), OpeningHours())
