"""Calls that a dead process left behind: written down to the last word, and closed."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Coalesce, Now

from calls.audio.wav import HEADER_BYTES, repair
from calls.conf import calls_settings
from calls.domain.errors import EndReason
from calls.models import Conversation, ConversationStatus, Recording, RecordingState
from calls.store.database import AWAY, in_database
from calls.store.journal import journal_read, journals_orphaned, refused_keep
from calls.store.owner import owner, owner_dead
from calls.store.tracks import FRAME_BYTES, RATE_HZ
from calls.store.wakers import wake
from calls.store.writing import conversations_settle, units_write

logger = logging.getLogger(__name__)

STALE_S = 30
"""A heartbeat comes every 5 seconds; a process whose last one is so old is taken for dead."""

OWN_STALE_S = 300
"""Our own process knows its calls; one that it knows nothing of never began."""

INTERVAL_S = 30
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Reaped:
    """What was found and put right."""

    units: int = 0
    conversations: int = 0
    recordings: int = 0


def reap() -> Reaped:
    """Write what waits in the journals of dead processes, and close their calls and recordings.

    Doing it twice, or two processes doing it at once, changes nothing more.

    Raises:
        AWAY: the database is away.
    """
    units = _replay_journals()
    conversations = sum(_close(found) for found in _orphans())
    if conversations:  # whose process died since their journals were looked for
        units += _replay_journals()
    recordings = sum(_repair(*found) for found in _unfinished())
    return Reaped(units, conversations, recordings)


class Reaper:
    """Reaps, as one kind of background work; every half minute is often enough.

    After an outage of the database live calls have had no heartbeat: they get one round's time.
    """

    def __init__(self) -> None:
        self._was_away = False

    async def run_due(self) -> int:
        """Reap; returns how many calls were closed.

        Raises:
            AWAY: the database is away.
        """
        try:
            if self._was_away:
                await in_database(connection.ensure_connection)
                self._was_away = False
                return 0
            reaped = await in_database(reap)
        except AWAY:
            self._was_away = True
            raise
        if reaped.conversations:
            for kind in ("summaries", "webhooks"):
                wake(kind)
        return reaped.conversations


def _replay_journals() -> int:
    count = 0
    folder = calls_settings().journal_dir
    for path in journals_orphaned(folder):
        offset, end = 0, path.stat().st_size
        while offset < end:
            units, offset = journal_read(path, offset, end, _BATCH)
            count += len(units)
            refused = units_write(units)
            if refused:
                refused_keep(folder, refused)
        path.unlink()
    return count


def _orphans() -> Iterator[Conversation]:
    """Live conversations whose process is gone."""
    stale = Q(heartbeat_at__lt=Now() - timedelta(seconds=STALE_S))
    long_stale = Q(heartbeat_at__lt=Now() - timedelta(seconds=OWN_STALE_S))
    live = Conversation.objects.filter(status=ConversationStatus.ACTIVE)
    yield from live.filter((stale & ~Q(owner=owner())) | long_stale)
    for found in live.exclude(stale):
        if owner_dead(found.owner):
            yield found


@transaction.atomic
def _close(found: Conversation) -> bool:
    ended_at = max(found.heartbeat_at, found.started_at, _last_sign(found))
    found.status = ConversationStatus.ENDED
    found.end_reason = EndReason.INTERRUPTED
    found.ended_at = ended_at
    found.duration_ms = (ended_at - found.started_at) // timedelta(milliseconds=1)
    still_open = Conversation.objects.filter(pk=found.pk, status=ConversationStatus.ACTIVE)
    closed = still_open.update(
        status=found.status,
        end_reason=found.end_reason,
        ended_at=found.ended_at,
        duration_ms=found.duration_ms,
    )
    if closed:
        conversations_settle([found])
    return bool(closed)


def _last_sign(found: Conversation) -> datetime:
    """When the last thing on the record happened."""
    item_ms = found.items.aggregate(at=Max(Coalesce("ended_ms", "started_ms")))["at"]
    turn_ms = found.turns.aggregate(at=Max("ended_ms"))["at"]
    return found.started_at + timedelta(milliseconds=max(item_ms or 0, turn_ms or 0))


def _unfinished() -> Iterator[tuple[Recording, bool]]:
    """Recordings that nobody writes any longer, and whether that has been so for minutes."""
    writing = Recording.objects.filter(
        state=RecordingState.WRITING, conversation__status=ConversationStatus.ENDED
    )
    old = Now() - timedelta(seconds=OWN_STALE_S)
    for recording in writing.annotate(
        old=Q(conversation__heartbeat_at__lt=old), owner=F("conversation__owner")
    ):
        if recording.old or owner_dead(recording.owner):
            yield recording, recording.old


def _repair(recording: Recording, old: bool) -> bool:
    """Make header and row say what the file holds.

    A file that is not here may be where another process finds it: until it is old, it is left.
    """
    state, size_bytes = RecordingState.TRUNCATED, 0
    try:
        size_bytes = _repair_header(recording)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and not old:
            return False
        state = RecordingState.FAILED
        extra = {"call_id": recording.pk, "error": type(error).__name__}
        logger.error("A recording cannot be read", extra=extra)  # noqa: TRY400 - names of files
    samples = max(0, size_bytes - HEADER_BYTES) // FRAME_BYTES
    mine = Recording.objects.filter(pk=recording.pk, state=RecordingState.WRITING)
    return bool(
        mine.update(state=state, size_bytes=size_bytes, duration_ms=samples * 1000 // RATE_HZ)
    )


def _repair_header(recording: Recording) -> int:
    """The size of the file, in bytes."""
    with recording.file.open("r+b") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        fixed = repair(file.read(HEADER_BYTES), size_bytes)
        file.seek(0)
        file.write(fixed)
        file.flush()
        os.fsync(file.fileno())
    return size_bytes
