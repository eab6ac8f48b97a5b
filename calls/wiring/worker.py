"""A process that does background work and has no calls: what `manage.py worker` runs."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from calls.conf import calls_settings
from calls.store.database import in_database
from calls.store.tasks import tasks_clear, tasks_take
from calls.store.wakers import wake_here
from calls.store.work import work_leave
from calls.wiring import control, networked
from calls.wiring.chores import Chore, chores

logger = logging.getLogger(__name__)

TASKS_LOOK_S = 1.0
TASKS_CLEAR_S = 60.0
ALIVE_S = 5.0
LEFT_WITHIN_S = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Worker:
    """Does all background work until a signal ends it. Any number may run side by side.

    Args:
        alive_file: touched every 5 seconds while the process is well.
    """

    def __init__(self, alive_file: Path | None = None) -> None:
        self._alive_file = alive_file
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Work; after SIGTERM take nothing more, finish what is held, and leave.

        What is not finished within `CALLS["DRAIN_MS"]` is taken up by another worker once its
        lease is over.
        """
        self._watch_signals()
        work_leave(leaving=False)
        async with asyncio.TaskGroup() as group:
            wanted = [*chores(), *_tasks()]
            doing = [group.create_task(chore.loop(), name=chore.kind) for chore in wanted]
            beside = [group.create_task(part) for part in self._beside()]
            try:
                await self._stop.wait()
                logger.info("The worker finishes what it holds, and leaves")
                work_leave()
                for chore in wanted:
                    wake_here(chore.kind)
                await asyncio.wait(doing, timeout=calls_settings().drain_ms / 1000)
            finally:
                for task in (*doing, *beside):
                    task.cancel()
        await networked.close()

    def _beside(self) -> list[Coroutine[Any, Any, None]]:
        beside = [control.listen(), networked.warm()]
        return beside if self._alive_file is None else [*beside, _stay_alive(self._alive_file)]

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            try:
                loop.add_signal_handler(number, self._signalled)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(self._signalled))

    def _signalled(self) -> None:
        """The first signal asks; the second one does not."""
        if self._stop.is_set():
            os._exit(1)
        self._stop.set()
        _leave_after(calls_settings().drain_ms / 1000 + LEFT_WITHIN_S)


def _tasks() -> list[Chore]:
    """What only workers do: take the tasks that wake them, and clear up behind other workers."""
    return [
        Chore("tasks", partial(in_database, tasks_take), TASKS_LOOK_S),
        Chore("old tasks", partial(in_database, tasks_clear), TASKS_CLEAR_S),
    ]


async def _stay_alive(file: Path) -> None:
    while True:
        try:
            await asyncio.to_thread(file.touch)
        except OSError:
            logger.exception("The file that says that the worker lives cannot be written")
        await asyncio.sleep(ALIVE_S)


def _leave_after(seconds: float) -> None:
    """A thread that waits for a database must not hold the process for ever."""
    deadline = threading.Timer(seconds, os._exit, [0])
    deadline.daemon = True
    deadline.start()
