"""The end of all calls of a process, because the process ends."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from calls.domain.errors import EndReason
from calls.domain.events import EndAsked
from calls.engine.runner import CallRunner

logger = logging.getLogger(__name__)

REST_MS = 8_000
"""What calls that are told to end get to have their last words understood and stored."""

HURRIED_MS = 1_000
"""The same, for those who are told to hurry."""


class Running(Protocol):
    """A call, as far as its end needs it."""

    runner: CallRunner


async def end_all(
    calls: Iterable[Running],
    empty: asyncio.Event,
    deadline_ms: int,
    *,
    rest_ms: int = REST_MS,
    hurried_ms: int = HURRIED_MS,
) -> None:
    """Have every call end, and wait until all is stored.

    Calls in which nobody speaks end at once; turns that go on are finished. What is left at the
    deadline is told to end. Cancelling ends the waiting: all are told at once.

    Args:
        calls: those that still run, whenever it is asked.
        empty: set when there are none any more.
        deadline_ms: for the turns that go on.
        rest_ms: from the deadline on, for the end of what is left.
        hurried_ms: the same from a cancellation on.
    """
    tell_all(calls, once_free=True)
    try:
        if await _emptied(empty, deadline_ms):
            return
    except asyncio.CancelledError:
        await _cut(calls, empty, hurried_ms)
        raise
    await _cut(calls, empty, rest_ms)


def tell_all(calls: Iterable[Running], *, once_free: bool) -> None:
    """Tell every call that the server ends."""
    for call in calls:
        call.runner.post(EndAsked(reason=EndReason.RESTARTED, once_free=once_free))


async def _cut(calls: Iterable[Running], empty: asyncio.Event, within_ms: int) -> None:
    tell_all(calls, once_free=False)
    if not await _emptied(empty, within_ms):
        logger.warning("calls cut at shutdown", extra={"count": len(list(calls))})


async def _emptied(empty: asyncio.Event, within_ms: int) -> bool:
    try:
        async with asyncio.timeout(within_ms / 1000):
            await empty.wait()
    except TimeoutError:
        return False
    return True
