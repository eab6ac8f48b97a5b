"""Instructions for one call, asked for by the id that the telephone system gave it."""

import logging
from typing import Any

from calls.providers.avr.service import ServiceError, request

logger = logging.getLogger(__name__)

WITHIN_MS = 3_000


async def instructions_for(url: str, uuid: str) -> str | None:
    """What the agent shall be told for this call; None when nothing usable came in time.

    The answer is `{"system": "..."}`. Why there was none stands in the log.

    Args:
        uuid: printable ASCII without spaces.
    """
    try:
        answer = await request("GET", url, within_ms=WITHIN_MS, headers={"X-AVR-UUID": uuid})
    except ServiceError as error:
        _complain(error.reason, error.status)
        return None
    system = answer.get("system") if isinstance(answer, dict) else None
    if not _usable(system):
        _complain("invalid", None)
        return None
    return str(system)


def _usable(system: Any) -> bool:
    """Whether it says something, in text that every database takes."""
    if not isinstance(system, str) or not system.strip() or "\x00" in system:
        return False
    return not any("\ud800" <= char <= "\udfff" for char in system)


def _complain(reason: str, status: int | None) -> None:
    extra = {"reason": reason, "status": status}
    logger.warning("No instructions for an AVR call: the agent's own hold", extra=extra)
