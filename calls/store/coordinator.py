"""Decides which record goes where: to the database, or, while that is away, to the journal."""

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from calls.store.journal import Journal, refused_keep
from calls.store.units import Unit

logger = logging.getLogger(__name__)

LARGEST_BATCH = 500
MOST_WAITING = 1_000
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0

GATHER_S = 0.008
"""After a rest the first unit waits so long for others. The words that it holds are about to be
answered, and for that the event loop needs the interpreter to itself."""


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

    @property
    def away(self) -> bool:
        """Whether the database did not answer when it was last asked."""
        return self._pause_s > 0

    @property
    def waiting(self) -> int:
        """How many units are not safe yet."""
        return len(self._waiting) + len(self._handed)

    @property
    def journal_bytes(self) -> int:
        """What the journal holds that the database does not."""
        return self._journal.size_bytes - self._replayed_bytes

    def pause_s(self, now_s: float) -> float | None:
        """How long there is nothing to do unless a message comes; None: for ever."""
        due_s = [self._next_s] if not self._busy and self._work else []
        if self._oldest:
            due_s.append(self._spill_s)
        return max(0.001, min(due_s) - now_s) if due_s else None

    def take(self, message: Message, now_s: float) -> None:
        match message:
            case Waiting():
                if not self._work:
                    self._next_s = max(self._next_s, now_s + GATHER_S)
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
