"""Units of work into the database: many at once, each any number of times."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import groupby
from statistics import median_low
from typing import Any

from django.db import Error, models, transaction
from django.db.models import OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, Now

from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus
from calls.models import (
    Conversation,
    ConversationStatus,
    Item,
    Recording,
    RecordingState,
    Redaction,
    ServiceUse,
    Summary,
    Turn,
    WebhookEvent,
)
from calls.store.database import AWAY
from calls.store.owner import owner
from calls.store.units import Kind, Unit
from calls.store.wakers import wake
from calls.store.webhooks import deliveries_add

logger = logging.getLogger(__name__)

REFUSED = (Error, TypeError, ValueError, OverflowError, LookupError)
Rows = dict[tuple[Any, ...], dict[str, Any]]


def units_write(units: Sequence[Unit]) -> list[Unit]:
    """Write the units in one transaction; if one of them is refused, the others each in its own.

    Returns:
        The units that the database refuses for good.

    Raises:
        AWAY: the database is away; nothing says how much was written,
            and writing all of it again is right.
    """
    try:
        _write(units)
    except AWAY:
        raise
    except REFUSED:
        return [unit for unit in units if not _alone(unit)]
    return []


def _alone(unit: Unit) -> bool:
    try:
        _write([unit])
    except AWAY:
        raise
    except REFUSED as error:
        logger.error(  # noqa: TRY400 - a traceback holds values, and those were said by people
            "A unit of a call's record was refused",
            extra={"call_id": unit.call_id, "kind": unit.kind, "error": type(error).__name__},
        )
        return False
    return True


def heartbeat_write(call_ids: Collection[str]) -> None:
    """Say that these calls of this process are alive.

    A call that was taken for dead, while the database was away, is live again.
    """
    alive = Q(status=ConversationStatus.ACTIVE) | Q(end_reason=EndReason.INTERRUPTED)
    Conversation.objects.filter(alive, pk__in=call_ids, owner=owner()).update(
        heartbeat_at=Now(),
        status=ConversationStatus.ACTIVE,
        end_reason="",
        ended_at=None,
        duration_ms=None,
    )


def _write(units: Sequence[Unit]) -> None:
    with transaction.atomic():
        known = _known(units)
        for kind, write in _WRITERS.items():
            if wanted := [unit for unit in units if unit.kind is kind and unit.call_id in known]:
                write(wanted)


def _known(units: Iterable[Unit]) -> set[str]:
    """Of which calls there is a record: one that was erased in mid-call is not wanted any more."""
    call_ids = {unit.call_id for unit in units}
    return set(Conversation.objects.filter(pk__in=call_ids).values_list("pk", flat=True))


def _write_items(units: Sequence[Unit]) -> None:
    rows = _last_of(units, "item_id")
    stored = Item.objects.filter(
        conversation__in={call_id for call_id, _ in rows}, item_id__in={i for _, i in rows}
    ).values_list("conversation_id", "item_id", "revision")
    for call_id, item_id, revision in stored:
        row = rows.get((call_id, item_id))
        if row is not None and row["revision"] < revision:
            del rows[call_id, item_id]
    _upsert(Item, rows, "item_id")


def _write_turns(units: Sequence[Unit]) -> None:
    rows = _last_of(units, "turn")
    _upsert(Turn, rows, "turn")
    _count({call_id for call_id, _ in rows})


def _write_uses(units: Sequence[Unit]) -> None:
    rows = _last_of(units, "number")
    _upsert(ServiceUse, rows, "number")
    _add_up({call_id for (call_id, _), row in rows.items() if row.get("cost_micros") is not None})


def _add_up(call_ids: Collection[str]) -> None:
    """Bring what these calls cost up to date."""
    if not call_ids:
        return
    uses = ServiceUse.objects.filter(conversation=OuterRef("pk")).order_by()
    sums = uses.values("conversation").annotate(micros=Sum("cost_micros")).values("micros")
    Conversation.objects.filter(pk__in=call_ids).update(cost_micros=Coalesce(Subquery(sums), 0))


def _write_recordings(units: Sequence[Unit]) -> None:
    rows = _last_of(units)
    closed = Recording.objects.filter(pk__in=[call_id for (call_id,) in rows]).exclude(
        state=RecordingState.WRITING
    )
    for call_id in closed.values_list("pk", flat=True):
        if rows[(call_id,)]["state"] == RecordingState.WRITING:
            del rows[(call_id,)]
    _upsert(Recording, rows)


def _finish(units: Sequence[Unit]) -> None:
    ends = {unit.call_id: unit.fields for unit in units}
    open_or_reaped = Q(status=ConversationStatus.ACTIVE) | Q(end_reason=EndReason.INTERRUPTED)
    ended = list(
        Conversation.objects.select_for_update(of=("self",)).filter(open_or_reaped, pk__in=ends)
    )
    for conversation in ended:
        _end(conversation, ends[conversation.pk])
    Conversation.objects.bulk_update(ended, ["status", "end_reason", "ended_at", "duration_ms"])
    conversations_settle(ended)


def _end(conversation: Conversation, fields: Mapping[str, Any]) -> None:
    duration_ms = fields["duration_ms"]
    conversation.status = ConversationStatus.ENDED
    conversation.end_reason = fields["reason"]
    conversation.duration_ms = duration_ms
    conversation.ended_at = conversation.started_at + timedelta(milliseconds=duration_ms)


def conversations_settle(conversations: Iterable[Conversation]) -> None:
    """After the end: nothing goes on any longer, and a summary is asked for where one is wanted.

    Of an agent's words only those count as heard that were known to be.
    """
    ended = list(conversations)
    Item.objects.filter(conversation__in=ended, status=ItemStatus.IN_PROGRESS).update(
        status=ItemStatus.INTERRUPTED
    )
    wanted = [entry for entry in ended if entry.agent_snapshot.get("summarized", True)]
    Summary.objects.bulk_create(
        [Summary(conversation=entry) for entry in wanted],
        update_conflicts=True,
        unique_fields=["conversation"],
        update_fields=["state", "attempts", "lease_until", "error"],
    )
    _redact([entry for entry in ended if entry.agent_snapshot.get("redacted")])
    deliveries_add(WebhookEvent.CALL_ENDED, {entry.pk: entry.site_slug for entry in ended})


def _redact(conversations: Sequence[Conversation]) -> None:
    """Have personal data removed, before anybody makes a summary of it."""
    Redaction.objects.bulk_create(
        [Redaction(conversation=entry) for entry in conversations],
        update_conflicts=True,
        unique_fields=["conversation"],
        update_fields=["state", "attempts", "lease_until", "error"],
    )
    if conversations:
        transaction.on_commit(partial(wake, "redactions"), robust=True)


def _count(call_ids: Collection[str]) -> None:
    """Bring the list's figures up to date. Turn 0 is the agent's greeting and counts for none."""
    turns = Turn.objects.filter(conversation__in=call_ids, turn__gt=0).order_by("conversation")
    counted = turns.values_list("conversation_id", "interrupted", "latency_ms")
    for call_id, group in groupby(counted, key=lambda row: row[0]):
        Conversation.objects.filter(pk=call_id).update(**_counters(group))


def _counters(turns: Iterator[tuple[str, bool, int | None]]) -> dict[str, int | None]:
    rows = list(turns)
    latencies = [latency_ms for _, _, latency_ms in rows if latency_ms is not None]
    return {
        "turn_count": len(rows),
        "interruption_count": sum(interrupted for _, interrupted, _ in rows),
        "latency_ms": median_low(latencies) if latencies else None,
    }


def _last_of(units: Iterable[Unit], *key: str) -> Rows:
    """Fields by call and `key`: of several units for one row the last one counts."""
    return {
        (unit.call_id, *(unit.fields[name] for name in key)): dict(unit.fields) for unit in units
    }


def _upsert(model: type[models.Model], rows: Rows, *key: str) -> None:
    if not rows:
        return
    names = next(iter(rows.values())).keys()
    model._default_manager.bulk_create(
        [model(conversation_id=call[0], **fields) for call, fields in rows.items()],
        update_conflicts=True,
        unique_fields=["conversation", *key],
        update_fields=[name for name in names if name not in key],
    )


# In this order: an end has the last word.
_WRITERS = {
    Kind.ITEM: _write_items,
    Kind.TURN: _write_turns,
    Kind.USE: _write_uses,
    Kind.RECORDING: _write_recordings,
    Kind.FINISH: _finish,
}
