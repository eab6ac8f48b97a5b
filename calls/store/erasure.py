"""Forgetting calls: asked for on a row, done step by step, finished even if it was cut off.

Files go before the rows that name them, rows before the request that lists them, and the request
says no more whom it was about before the database's own leavings are cleared away: whenever it is
cut off, what is left says what is left to do.
"""

import logging
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F

from calls.conf import calls_settings
from calls.domain.errors import EndReason
from calls.models import (
    AuditAction,
    Conversation,
    ConversationStatus,
    Erasure,
    Recording,
    RecordingState,
    WorkState,
)
from calls.models.text import clean_text
from calls.store.audit import audit
from calls.store.compacting import database_compact, wal_truncate
from calls.store.database import in_database
from calls.store.journal import journals_hold, refused_forget
from calls.store.owner import owner_dead
from calls.store.reaper import reap
from calls.store.traces import files_remove
from calls.store.wakers import wake
from calls.store.work import Lease, in_seconds, work_again, work_done, work_take

logger = logging.getLogger(__name__)

ERASURES = "erasures"
LEASE_S = 300
WAIT_S = 2.0
"""So soon a live call that has to end first, or a busy database, is looked at again."""

LONGEST_BACKOFF_S = 600.0


class _WaitingError(Exception):
    """Something has to come to an end first."""


def erasure_request(*, caller: str = "", call_ids: Iterable[str] = (), actor: str) -> Erasure:
    """Have all calls of a caller, or these calls, forgotten everywhere; done in the background.

    What the same actor has asked for, and is not done yet, is taken up again at once.

    Args:
        caller: the reference that the calls were opened with, whole.
        call_ids: of calls; unknown ones are passed over.
        actor: who wants it, for the audit.

    Raises:
        ValueError: neither a caller nor a call is named.
    """
    caller, wanted = clean_text(caller, 200), {clean_text(each, 64) for each in call_ids}
    if not caller and not wanted:
        raise ValueError("Nothing to erase is named.")
    actor = clean_text(actor, 150)
    row = _asked_before(caller, wanted, actor) or Erasure(caller=caller, actor=actor)
    row.call_ids = sorted(wanted | set(row.call_ids))
    row.state, row.lease, row.lease_until = WorkState.PENDING, "", None
    row.save()
    transaction.on_commit(lambda: wake(ERASURES), robust=True)
    return row


def _asked_before(caller: str, call_ids: set[str], actor: str) -> Erasure | None:
    """An unfinished one of theirs about the same; whoever had its lease has it no more."""
    open_ = Erasure.objects.exclude(state=WorkState.DONE).filter(caller=caller, actor=actor)
    return next((row for row in open_ if caller or call_ids & set(row.call_ids)), None)


async def erasures_run_due() -> int:
    """Do all erasures that are due; returns how many were taken on.

    Raises:
        AWAY: the database is away.
    """
    return await in_database(erasures_work)


def erasures_work(*, full: bool = False) -> int:
    """The same, for commands; `full` as `database_compact` has it."""
    taken = 0
    while (lease := work_take(Erasure.objects.all(), lease_s=LEASE_S)) is not None:
        taken += 1
        _take_on(lease, full=full)
    return taken


def _take_on(lease: Lease, *, full: bool) -> None:
    try:
        _erase(Erasure.objects.get(pk=lease.pk), lease, full=full)
    except _WaitingError as why:
        work_again(Erasure, lease, str(why), after_s=WAIT_S)
    except OSError as error:
        extra = {"erasure": lease.pk, "error": error.strerror}
        logger.error("Files cannot be erased", extra=extra)  # noqa: TRY400 - paths stay unsaid
        after_s = min(LONGEST_BACKOFF_S, 2.0 ** min(lease.attempt, 20))
        work_again(Erasure, lease, f"Files: {error.strerror}", after_s=after_s)


def _erase(row: Erasure, lease: Lease, *, full: bool) -> None:
    if row.caller or row.call_ids:
        wanted = _wanted(row)
        reap()
        _end_live(wanted, row.actor)
        for call_id in sorted(wanted - _going_on(wanted)):
            _keep_lease(lease)
            _forget(row, call_id)
        _forget_journals(wanted)
        if _going_on(wanted) or Conversation.objects.filter(pk__in=_wanted(row)).exists():
            raise _WaitingError("A call has to end first.")
        Erasure.objects.filter(pk=row.pk).update(caller="", call_ids=[])
    _keep_lease(lease)
    if not database_compact(full=full):
        raise _WaitingError("The database is busy.")
    work_done(Erasure, lease)
    wal_truncate()


def _wanted(row: Erasure) -> set[str]:
    """Ids of all calls that it is about; they stand on its row before the first of them goes."""
    wanted = set(row.call_ids)
    if row.caller:
        wanted |= set(Conversation.objects.filter(caller=row.caller).values_list("pk", flat=True))
    if wanted != set(row.call_ids):
        row.call_ids = sorted(wanted)
        Erasure.objects.filter(pk=row.pk).update(call_ids=row.call_ids)
    return wanted


def _end_live(call_ids: set[str], actor: str) -> None:
    live = Conversation.objects.filter(
        pk__in=call_ids, status=ConversationStatus.ACTIVE, end_asked=""
    )
    for call_id in list(live.values_list("pk", flat=True)):
        conversation_end(call_id, actor)


def conversation_end(call_id: str, actor: str, *, user: object = None) -> bool:
    """Ask for the end of a live call; False: it is over, or somebody has asked."""
    live = Conversation.objects.filter(pk=call_id, status=ConversationStatus.ACTIVE, end_asked="")
    with transaction.atomic():
        asked = bool(live.update(end_asked=EndReason.STAFF_ENDED))
        if asked:
            audit(actor, AuditAction.ENDED, call_id, user=user)
    return asked


def _going_on(call_ids: set[str]) -> set[str]:
    """Which of the calls are live, or still being written down by their process."""
    rows = Conversation.objects.filter(pk__in=call_ids)
    live = set(rows.filter(status=ConversationStatus.ACTIVE).values_list("pk", flat=True))
    writing = Recording.objects.filter(
        conversation__in=call_ids,
        state=RecordingState.WRITING,
        conversation__heartbeat_at__gt=in_seconds(-LEASE_S),
    ).values_list("pk", "conversation__owner")
    return live | {call_id for call_id, owner in writing if not owner_dead(owner)}


def _forget(row: Erasure, call_id: str) -> None:
    """One call: its files, then its rows."""
    found = Conversation.objects.filter(pk=call_id)
    recorded = files_remove(call_id)
    with transaction.atomic():
        if not found.select_for_update(of=("self",)).exists():
            return
        found.delete()
        audit(row.actor, AuditAction.ERASED, call_id, detail=f"erasure {row.pk}")
        Erasure.objects.filter(pk=row.pk).update(
            conversations=F("conversations") + 1, recordings=F("recordings") + int(recorded)
        )


def _forget_journals(call_ids: set[str]) -> None:
    """A live process empties its journal as soon as it reaches the database; that is waited for.

    Of calls without a row it writes nothing any more.
    """
    folder = calls_settings().journal_dir
    if call_ids and folder.exists():
        refused_forget(folder, call_ids)
        if journals_hold(folder, call_ids):
            raise _WaitingError("A journal is being worked off.")


def _keep_lease(lease: Lease) -> None:
    held = Erasure.objects.filter(pk=lease.pk, lease=lease.token)
    if not held.update(lease_until=in_seconds(LEASE_S)):
        raise _WaitingError("Another process has taken it on.")
