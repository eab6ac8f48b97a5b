"""Which calls may not go on, by what stands on the rows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models.functions import Now

from calls.domain.errors import EndReason
from calls.models import OWN_SITE, Conversation
from calls.store.admission import day_over, day_use
from calls.store.sites import MICROS


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What was found.

    Attributes:
        ends: the calls that have to end, by their ids.
        left_ms: so soon a site's minutes of the day may be used up; None: nobody counts them.
    """

    ends: Mapping[str, EndReason] = field(default_factory=dict)
    left_ms: int | None = None


def calls_standing(call_ids: Collection[str]) -> Standing:
    """Look up these calls and their sites: one query, and two more if sites have day budgets.

    Raises:
        AWAY: the database is away.
    """
    rows = list(
        Conversation.objects.filter(pk__in=call_ids)
        .order_by()
        .annotate(now=Now())
        .values(
            "pk", "end_asked", "site_slug", "site_id", "now", "site__active",
            "site__max_minutes_per_day", "site__max_day_cost",
        )
    )  # fmt: skip
    over, left_ms = _budgets(rows)
    ends = {row["pk"]: reason for row in rows if (reason := _reason(row, over)) is not None}
    return Standing(ends=ends, left_ms=left_ms)


def _reason(row: Mapping[str, Any], over: Collection[str]) -> EndReason | None:
    if row["end_asked"]:
        known = row["end_asked"] in set(EndReason)
        return EndReason(row["end_asked"]) if known else EndReason.STAFF_ENDED
    gone = row["site_id"] is None and row["site_slug"] != OWN_SITE
    if gone or row["site__active"] is False:
        return EndReason.SITE_STOPPED
    return EndReason.BUDGET if row["site_slug"] in over else None


def _budgets(rows: Collection[Mapping[str, Any]]) -> tuple[set[str], int | None]:
    """The sites whose budgets of the day are used up, and when the next may be."""
    limits = {row["site_slug"]: _limits(row) for row in rows}
    limited = {slug: both for slug, both in limits.items() if both != (None, None)}
    if not limited:
        return set(), None
    now: datetime = next(iter(rows))["now"]
    used = day_use(limited, now)
    over, left_ms = set(), None
    for slug, (max_ms, max_micros) in limited.items():
        spent = used.get(slug)
        if spent is None:
            continue
        if day_over(spent, max_ms, max_micros):
            over.add(slug)
        elif max_ms is not None and spent.live:
            soon_ms = (max_ms - spent.ms) // spent.live
            left_ms = soon_ms if left_ms is None else min(left_ms, soon_ms)
    return over, left_ms


def _limits(row: Mapping[str, Any]) -> tuple[int | None, int | None]:
    minutes, money = row["site__max_minutes_per_day"], row["site__max_day_cost"]
    return (
        None if minutes is None else minutes * 60_000,
        None if money is None else int(money * MICROS),
    )
