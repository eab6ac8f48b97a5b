"""The one door of a process to the record: it never waits for the database on anybody's behalf.

Two threads. The coordinator takes units of work in, hands them on in batches, and acknowledges
them; the other one owns a connection and may hang. A unit is acknowledged when it survives a kill
of the process: once it is committed, or once it is in the journal, where everything goes while the
database does not answer. What is in the journal is written, in order, before anything newer.
"""

import asyncio
import atexit
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from django.db import connection

from calls.conf import calls_settings
from calls.store.journal import Journal, journal_read, refused_keep
from calls.store.units import Unit
from calls.store.writing import heartbeat_write, units_write

logger = logging.getLogger(__name__)

LARGEST_BATCH = 500
MOST_WAITING = 1_000
PATIENCE_S = 2.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
IDLE_CHECK_S = 1.0
CLOSE_S = 5.0
CLOSED = "The gateway is closed"


@dataclass(frozen=True, slots=True)
class Waiting:
    unit: Unit
    done: Future[None]
    since_s: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    call_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Job:
    """What the database thread is asked for: the journal between two bytes, or these units."""

    units: Sequence[Unit]
    journal: Path | None
    offset: int
    end: int
    call_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    away: bool
    refused: Sequence[Unit]
    offset: int


class Stop:
    """The process ends: write what there is and go."""


Message = Waiting | Heartbeat | Outcome | Stop


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


class Coordinator:
    """Decides what is written where. Used by one thread; knows the time only from its caller."""

    def __init__(self, journal: Journal, ask: Callable[[Job], None], patience_s: float) -> None:
        self._journal = journal
        self._ask = ask
        self._patience_s = patience_s
        self._waiting: deque[Waiting] = deque()
        self._handed: list[Waiting] = []
        self._call_ids: frozenset[str] = frozenset()
        self._busy = False
        self._replayed_bytes = 0
        self._pause_s = 0.0
        self._next_s = 0.0
        self._stopping = False
        self._journal_s = 0.0

    @property
    def finished(self) -> bool:
        return self._stopping and not self._waiting and not self._handed

    def pause_s(self, now_s: float) -> float | None:
        """How long there is nothing to do unless a message comes; None: for ever."""
        due_s = [self._next_s] if not self._busy and self._work else []
        if self._oldest:
            due_s.append(self._spill_s)
        return max(0.001, min(due_s) - now_s) if due_s else None

    def take(self, message: Message, now_s: float) -> None:
        match message:
            case Waiting():
                self._waiting.append(message)
            case Heartbeat(call_ids):
                self._call_ids = call_ids
            case Outcome():
                self._settle(message, now_s)
            case Stop():
                self._stopping = True

    def proceed(self, now_s: float) -> None:
        """Do what is due."""
        if self._oldest and now_s >= self._spill_s:
            self._spill(now_s)
        if not self._busy and self._work and now_s >= self._next_s:
            self._hand_on()
        if self.finished:
            self._journal.close()

    @property
    def _spill_s(self) -> float:
        """When what waits has to go to the journal."""
        full = len(self._waiting) + len(self._handed) > MOST_WAITING
        if full or self._journal.size_bytes or (self._stopping and self._pause_s):
            return self._journal_s
        oldest = self._oldest
        return max(oldest.since_s + self._patience_s, self._journal_s) if oldest else math.inf

    @property
    def _work(self) -> bool:
        return bool(self._waiting or self._journal.size_bytes or self._call_ids)

    @property
    def _oldest(self) -> Waiting | None:
        if self._handed:
            return self._handed[0]
        return self._waiting[0] if self._waiting else None

    def _hand_on(self) -> None:
        call_ids, self._call_ids = self._call_ids, frozenset()
        self._busy = True
        if self._journal.size_bytes:
            path, end = self._journal.path, self._journal.size_bytes
            self._ask(Job((), path, self._replayed_bytes, end, call_ids))
            return
        count = min(len(self._waiting), LARGEST_BATCH)
        self._handed = [self._waiting.popleft() for _ in range(count)]
        self._ask(Job([entry.unit for entry in self._handed], None, 0, 0, call_ids))

    def _settle(self, outcome: Outcome, now_s: float) -> None:
        self._busy = False
        if outcome.away:
            self._pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, self._pause_s * 2))
            self._next_s = now_s + self._pause_s
            self._waiting.extendleft(reversed(self._handed))
            self._handed = []
            return
        self._pause_s = self._next_s = 0.0
        self._keep(outcome.refused)
        self._acknowledge()
        if self._journal.size_bytes:
            self._replayed_bytes = outcome.offset
            if self._replayed_bytes >= self._journal.size_bytes:
                self._journal.clear()
                self._replayed_bytes = 0

    def _spill(self, now_s: float) -> None:
        """Put everything that waits into the journal, what was handed on first."""
        entries = [*self._handed, *self._waiting]
        try:
            self._journal.append(entry.unit for entry in entries)
        except OSError as error:
            self._journal_s = now_s + LONGEST_PAUSE_S
            logger.error(  # noqa: TRY400 - the reason is all there is to know
                "Records can be neither stored nor kept in the journal",
                extra={"error": error.strerror},
            )
            return
        self._handed, self._waiting = entries, deque()
        self._acknowledge()

    def _acknowledge(self) -> None:
        handed, self._handed = self._handed, []
        for entry in handed:
            if entry.done.set_running_or_notify_cancel():
                entry.done.set_result(None)

    def _keep(self, refused: Sequence[Unit]) -> None:
        try:
            if refused:
                refused_keep(self._journal.folder, refused)
        except OSError as error:
            extra = {"error": error.strerror, "count": len(refused)}
            logger.error("Refused records could not be kept", extra=extra)  # noqa: TRY400


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


@atexit.register
def gateway_close() -> None:
    """Write what waits and stop. Waits some seconds at most; the next `gateway()` opens another."""
    with _lock:
        while _opened:
            _opened.pop().close()
