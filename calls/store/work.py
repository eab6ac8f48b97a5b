"""Work on rows: taken with a lease, given back, tried again. `calls.models.work` has the columns.

A worker keeps its lease for as long as it is at work. One that dies leaves it to run out; then the
work is anybody's again. A lease that was lost writes nothing any more, so two that do the same work
leave one result.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Model, Q, QuerySet
from django.db.models.functions import Now

from calls.conf import calls_settings
from calls.models import Erasure, Redaction, Summary, WebhookDelivery, WorkState
from calls.models.text import clean_text

MOST_ATTEMPTS = 5
FIRST_BACKOFF_S = 10
_LOOKED_AT = 10

DUE = Q(state=WorkState.PENDING, lease_until=None) | Q(
    state__in=[WorkState.PENDING, WorkState.RUNNING], lease_until__lt=Now()
)
"""Waiting, or left behind by a run whose lease is over."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A piece of work that is ours; `token` tells it from other leases of the same row."""

    pk: Any
    token: str
    attempt: int


_MODELS: Mapping[str, type[Model]] = {
    "summaries": Summary,
    "webhooks": WebhookDelivery,
    "redactions": Redaction,
    "erasures": Erasure,
}
_COUNTED = (WorkState.PENDING, WorkState.RUNNING, WorkState.FAILED)
_leaving = False


def work_leave(*, leaving: bool = True) -> None:
    """The process is about to end: nothing more is taken; what is held goes on."""
    global _leaving
    _leaving = leaving


def work_leaving() -> bool:
    return _leaving


def work_counts() -> dict[str, tuple[int, int, int]]:
    """How many pieces of work of each kind wait, are being done, and were given up.

    Raises:
        AWAY: the database is away.
    """
    return {kind: _counts(model._default_manager.all()) for kind, model in _MODELS.items()}


def _counts(rows: QuerySet[Any]) -> tuple[int, int, int]:
    of_interest = rows.filter(state__in=_COUNTED).order_by()
    grouped: Iterable[tuple[str, int]] = of_interest.values_list("state").annotate(Count("pk"))
    found = dict(grouped)
    pending, running, failed = (found.get(state, 0) for state in _COUNTED)
    return pending, running, failed


def work_take(rows: QuerySet[Any], *, lease_s: float | None = None) -> Lease | None:
    """Take a lease on what has been due for the longest time.

    Args:
        rows: of one model of work; those that are not due are left alone.
        lease_s: how long it lasts; None: as long as `CALLS["LEASE_SECONDS"]` says.

    Returns:
        None: nothing is due, or the process is about to end.
    """
    if _leaving:
        return None
    return _take(rows, calls_settings().lease_seconds if lease_s is None else lease_s)


@transaction.atomic
def _take(rows: QuerySet[Any], lease_s: float) -> Lease | None:
    for row in rows.filter(DUE).order_by("requested_at")[:_LOOKED_AT]:
        token = token_hex(16)
        mine = rows.model._default_manager.filter(DUE, pk=row.pk).update(
            state=WorkState.RUNNING,
            lease=token,
            attempts=F("attempts") + 1,
            lease_until=in_seconds(lease_s),
        )
        if mine:
            return Lease(row.pk, token, row.attempts + 1)
    return None


def work_keep(model: type[Model], lease: Lease, *, lease_s: float | None = None) -> bool:
    """Have the lease last as long again from now on; False: it was lost."""
    lease_s = calls_settings().lease_seconds if lease_s is None else lease_s
    return bool(_held(model, lease).update(lease_until=in_seconds(lease_s)))


def work_done(model: type[Model], lease: Lease, **fields: Any) -> bool:
    """Say that it is done, with what came of it; False: the lease was lost."""
    done = {"state": WorkState.DONE, "lease_until": None, "done_at": Now(), "error": ""}
    return bool(_held(model, lease).update(**done | fields))


def work_again(
    model: type[Model], lease: Lease, error: str, *, after_s: float | None = None, **fields: Any
) -> bool:
    """Have it tried again later: after 10 s, 20 s, 40 s, unless `after_s` says otherwise."""
    after_s = FIRST_BACKOFF_S * 2 ** (lease.attempt - 1) if after_s is None else after_s
    again = {"state": WorkState.PENDING, "lease_until": in_seconds(after_s)}
    return bool(_held(model, lease).update(**again, error=clean_text(error, 300), **fields))


def work_fail(model: type[Model], lease: Lease, error: str, **fields: Any) -> bool:
    """Give it up."""
    failed = {"state": WorkState.FAILED, "lease_until": None}
    return bool(_held(model, lease).update(**failed, error=clean_text(error, 300), **fields))


def in_seconds(seconds: float) -> Any:
    return Now() + timedelta(seconds=seconds)


def _held(model: type[Model], lease: Lease) -> QuerySet[Any]:
    return model._default_manager.filter(pk=lease.pk, state=WorkState.RUNNING, lease=lease.token)
