"""All background work there is: its name, how what is due gets done, how often it looks by itself.

The names are those that `calls.store.wakers.wake` takes.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from calls.store.database import in_database
from calls.store.erasure import erasures_run_due
from calls.store.loops import work_loop
from calls.store.reaper import INTERVAL_S, Reaper
from calls.store.redaction import redactions_run_due
from calls.store.retention import purge
from calls.store.summaries import POLL_S, Summarizers, summaries_run_due
from calls.wiring import networked
from calls.wiring.webhooks import deliveries_run_due

PURGE_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Chore:
    """One kind of background work.

    Attributes:
        run_due: does all that is due; how much that was. Raises `AWAY` while the database is away.
        look_s: how often it looks without being woken.
        everywhere: whether processes that serve do it though there are workers: what dead
            processes left behind may lie on a disk that only this machine has.
    """

    kind: str
    run_due: Callable[[], Awaitable[int]]
    look_s: float
    everywhere: bool = False

    async def loop(self) -> None:
        """Do it until the process leaves."""
        await work_loop(self.kind, self.run_due, look_s=self.look_s)


def chores(*, everywhere: bool = False) -> list[Chore]:
    """The table.

    Args:
        everywhere: only those that every process does.
    """
    table = [
        Chore("reaper", Reaper().run_due, INTERVAL_S, everywhere=True),
        Chore("summaries", partial(summaries_run_due, summarizers), POLL_S),
        Chore("webhooks", deliveries_run_due, POLL_S),
        Chore("redactions", redactions_run_due, POLL_S),
        Chore("erasures", erasures_run_due, POLL_S),
        Chore("purge", _purge, PURGE_S),
    ]
    return [chore for chore in table if chore.everywhere or not everywhere]


def summarizers(agent: Mapping[str, Any]) -> Summarizers:
    """Who summarises a conversation of an agent with these settings."""
    return networked.summarizers(agent)


async def _purge() -> int:
    return sum((await in_database(purge)).as_json().values())


async def run_due_once(wanted: Iterable[Chore]) -> dict[str, int]:
    """Do what is due of these kinds, one kind after the other, because one leads to another.

    Returns:
        How much was done, by kind.

    Raises:
        AWAY: the database is away.
    """
    try:
        return {chore.kind: await chore.run_due() for chore in wanted}
    finally:
        await networked.close()
