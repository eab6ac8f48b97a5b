"""The one door of a process to the record: it never waits for the database on anybody's behalf.

Two threads. The coordinator takes units of work in, hands them on in batches, and acknowledges
them; the other one owns a connection and may hang. A unit is acknowledged when it survives a kill
of the process: once it is committed, or once it is in the journal, where everything goes while the
database does not answer. What is in the journal is written, in order, before anything newer.
"""

import asyncio
import atexit
import logging
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from django.db import connection

from calls.conf import calls_settings
from calls.store.coordinator import (
    LARGEST_BATCH,
    Coordinator,
    Heartbeat,
    Job,
    Message,
    Outcome,
    Stop,
    Waiting,
)
from calls.store.journal import Journal, journal_read
from calls.store.units import Unit
from calls.store.writing import heartbeat_write, units_write

logger = logging.getLogger(__name__)

PATIENCE_S = 2.0
IDLE_CHECK_S = 1.0
CLOSE_S = 5.0
CLOSED = "The gateway is closed"


@dataclass(frozen=True, slots=True)
class GatewayState:
    """How the way to the record is.

    Attributes:
        away: the database did not answer when it was last asked.
        waiting: units that are not safe yet.
        journal_bytes: what waits in the journal for the database.
    """

    away: bool = False
    waiting: int = 0
    journal_bytes: int = 0


class Gateway:
    """See the module.

    Args:
        journal: of this process.
        perform: does a job; only tests bring their own.
        patience_s: how long a unit waits for the database before it goes to the journal.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        perform: Callable[[Job], Outcome] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._inbox: SimpleQueue[Message] = SimpleQueue()
        self._database = Database(self._inbox.put, perform or job_perform)
        self._coordinator = Coordinator(journal, self._database.jobs.put, patience_s)
        self._thread = Thread(target=self._run, name="calls-records", daemon=True)
        self._thread.start()

    async def write(self, unit: Unit) -> None:
        """Return when `unit` survives a kill of this process. Cancelling does not take it back."""
        await asyncio.shield(asyncio.wrap_future(self.submit(unit)))

    def submit(self, unit: Unit) -> Future[None]:
        """Take `unit` in, from any thread, without waiting.

        Returns:
            A future that is done when the unit is safe; RuntimeError: the gateway is closed.
        """
        done: Future[None] = Future()
        if not self._thread.is_alive():
            done.set_exception(RuntimeError(CLOSED))
            return done
        self._inbox.put(Waiting(unit, done, time.monotonic()))
        return done

    def heartbeat(self, call_ids: Collection[str]) -> None:
        """Say that these calls live. Never waits; while the database is away, it is forgotten."""
        self._inbox.put(Heartbeat(frozenset(call_ids)))

    @property
    def state(self) -> "GatewayState":
        """As it is about now; from any thread."""
        found = self._coordinator
        return GatewayState(found.away, found.waiting, found.journal_bytes)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write what waits, or put it into the journal; idempotent. Nothing is taken in after."""
        self._inbox.put(Stop())
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._coordinator.finished:
            for message in _all(self._inbox, self._coordinator.pause_s(time.monotonic())):
                self._coordinator.take(message, time.monotonic())
            self._coordinator.proceed(time.monotonic())
        self._database.jobs.put(None)
        for message in _all(self._inbox, 0):
            if isinstance(message, Waiting):
                message.done.set_exception(RuntimeError(CLOSED))


class Database:
    """The thread with the connection: one job at a time, however long it takes."""

    def __init__(self, tell: Callable[[Outcome], None], perform: Callable[[Job], Outcome]) -> None:
        self.jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._tell = tell
        self._perform = perform
        Thread(target=self._run, name="calls-records-database", daemon=True).start()

    def _run(self) -> None:
        used_s = 0.0
        while (job := self.jobs.get()) is not None:
            if time.monotonic() - used_s > IDLE_CHECK_S:
                _close_if_dead()
            self._tell(self._perform(job))
            used_s = time.monotonic()
        connection.close()


def job_perform(job: Job) -> Outcome:
    """Write the job's units, or the next ones of the journal."""
    units, offset = job.units, 0
    try:
        if job.journal is not None:
            units, offset = journal_read(job.journal, job.offset, job.end, LARGEST_BATCH)
        refused = units_write(units) if units else []
        if job.call_ids:
            heartbeat_write(job.call_ids)
    except Exception as error:  # noqa: BLE001 - the thread lives on; nothing counts as written
        # No traceback: it may hold what was said.
        extra = {"error": type(error).__name__}
        logger.warning("Records cannot reach the database", extra=extra)
        connection.close()
        return Outcome(away=True, refused=(), offset=job.offset)
    return Outcome(away=False, refused=refused, offset=offset)


def _close_if_dead() -> None:
    if connection.connection is not None and not connection.is_usable():
        connection.close()


def _all(inbox: SimpleQueue[Message], timeout_s: float | None) -> list[Message]:
    """All messages that are there, waiting for the first one."""
    messages: list[Message] = []
    try:
        messages.append(inbox.get(timeout=timeout_s))
        while True:
            messages.append(inbox.get_nowait())
    except Empty:
        return messages


_lock = Lock()
_opened: list[Gateway] = []


def gateway() -> Gateway:
    """The gateway of this process; opened the first time."""
    with _lock:
        if not _opened:
            _opened.append(Gateway(Journal(calls_settings().journal_dir)))
        return _opened[0]


def gateway_state() -> GatewayState:
    """That of this process; one that was never opened has nothing to tell."""
    with _lock:
        return _opened[0].state if _opened else GatewayState()


@atexit.register
def gateway_close() -> None:
    """Write what waits and stop. Waits some seconds at most; the next `gateway()` opens another."""
    with _lock:
        while _opened:
            _opened.pop().close()
