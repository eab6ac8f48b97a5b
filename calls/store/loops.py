"""The loop that every kind of background work runs in."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from calls.store.database import AWAY
from calls.store.wakers import waker
from calls.store.work import work_leaving

logger = logging.getLogger(__name__)

LONGEST_BACKOFF_S = 10.0
"""How long an outage of the database, or a defect, keeps the work waiting at most."""


async def work_loop(kind: str, run_due: Callable[[], Awaitable[object]], *, look_s: float) -> None:
    """Do what is due, whenever `kind` is woken and every `look_s`, until the process leaves.

    After a failure it tries again: after `look_s`, then after twice as long, and so on. Cancelling
    ends it at once; the leases it holds run out.
    """
    failures = 0
    with waker(kind) as woken:
        while not work_leaving():
            woken.clear()
            failures = 0 if await _ran(kind, run_due) else failures + 1
            await _wait(woken, _pause_s(look_s, failures))


async def _ran(kind: str, run_due: Callable[[], Awaitable[object]]) -> bool:
    try:
        await run_due()
    except AWAY:
        logger.warning("The database is away: work has to wait", extra={"work": kind})
        return False
    except Exception as error:  # noqa: BLE001 - the loop outlives every piece of work
        # No traceback: it may hold what was said.
        extra = {"work": kind, "error": type(error).__name__}
        logger.error("Background work failed", extra=extra)  # noqa: TRY400
        return False
    return True


def _pause_s(look_s: float, failures: int) -> float:
    if failures < 2 or look_s >= LONGEST_BACKOFF_S:
        return look_s
    return float(min(look_s * 2 ** min(failures - 1, 10), LONGEST_BACKOFF_S))


async def _wait(woken: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return
