"""What an API key sees: conversations of its site and agents, page by page, and the day's use."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from calls.models import Agent, Conversation, ConversationStatus, Site, Webhook
from calls.models.text import clean_text
from calls.store.admission import DayUse, day_use
from calls.store.keys import Grant

CURSOR_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a list is narrowed to; empty: not by that."""

    site: str = ""
    agent: str = ""
    caller: str = ""
    status: str = ""
    words: str = ""
    started_after: datetime | None = None
    started_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`cursor` leads to the rest; None: there is none."""

    rows: tuple[Conversation, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """A site's use of the day of UTC; `limits` is its row, None: there are none."""

    site: str
    day: datetime
    calls: int
    live: int
    used: DayUse
    limits: Site | None


def key_label(grant: Grant) -> str:
    """Who did it, for the audit."""
    return f"API key #{grant.key_id} {grant.label}"[:150]


def conversations_seen(grant: Grant) -> QuerySet[Conversation]:
    """Those of the key's site, or of every site, with the key's agents."""
    rows = Conversation.objects.select_related("summary", "recording")
    if grant.site is not None:
        rows = rows.filter(site_slug=grant.site)
    return rows.filter(agent_slug__in=grant.agents) if grant.agents else rows


def conversations_page(grant: Grant, wanted: Wanted, *, cursor: str, most: int) -> Page:
    """Newest first, from where the cursor points on.

    Raises:
        ValueError: the cursor is none of ours.
    """
    rows = _narrowed(conversations_seen(grant), wanted)
    if cursor:
        started_at, call_id = _place(cursor)
        behind = Q(started_at=started_at, call_id__lt=call_id)
        rows = rows.filter(Q(started_at__lt=started_at) | behind)
    found = tuple(rows.order_by("-started_at", "-call_id")[: most + 1])
    return Page(found[:most], _cursor(found[most - 1]) if len(found) > most else None)


def _narrowed(rows: QuerySet[Conversation], wanted: Wanted) -> QuerySet[Conversation]:
    exact = {"site_slug": wanted.site, "agent_slug": wanted.agent, "caller": wanted.caller}
    exact["status"] = wanted.status
    rows = rows.filter(**{name: clean_text(value) for name, value in exact.items() if value})
    if wanted.started_after:
        rows = rows.filter(started_at__gte=wanted.started_after)
    if wanted.started_before:
        rows = rows.filter(started_at__lt=wanted.started_before)
    if wanted.words:
        found = Conversation.objects.search(clean_text(wanted.words))
        rows = rows.filter(pk__in=found.order_by().values("pk"))
    return rows


def _cursor(row: Conversation) -> str:
    place = json.dumps([row.started_at.isoformat(), row.call_id]).encode()
    return urlsafe_b64encode(place).decode().rstrip("=")


def _place(cursor: str) -> tuple[datetime, str]:
    """Raises ValueError."""
    if len(cursor) > CURSOR_CHARS:
        raise ValueError("too long")
    place = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    if not isinstance(place, list) or [type(each) for each in place] != [str, str]:
        raise ValueError("no cursor")
    started_at = datetime.fromisoformat(place[0])
    if started_at.tzinfo is None:
        raise ValueError("no cursor")
    return started_at.astimezone(UTC), clean_text(place[1])


def agents_seen(grant: Grant) -> QuerySet[Agent]:
    """The active agents that the key, and its site, may call."""
    rows = Agent.objects.filter(active=True)
    if grant.agents:
        rows = rows.filter(slug__in=grant.agents)
    site = None if grant.site is None else Site.objects.filter(slug=grant.site).first()
    if site is None or site.all_agents:
        return rows
    return rows.filter(sites=site)


def webhooks_seen(grant: Grant) -> QuerySet[Webhook]:
    rows = Webhook.objects.select_related("site").order_by("pk")
    return rows if grant.site is None else rows.filter(site__slug=grant.site)


def used_today(site: str) -> Today:
    """What the calls of a site came to that began today.

    Raises:
        DatabaseError: the database cannot be asked.
    """
    row = Site.objects.filter(slug=clean_text(site)).first()
    now = _now()
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    calls = Conversation.objects.filter(site_slug=clean_text(site))
    return Today(
        site=site,
        day=day,
        calls=calls.filter(started_at__gte=day).count(),
        live=calls.filter(status=ConversationStatus.ACTIVE).count(),
        used=day_use([site], now).get(site, DayUse()),
        limits=row,
    )


def _now() -> datetime:
    """By the database's clock."""
    (now,) = Site.objects.order_by().annotate(now=Now()).values_list("now", flat=True)[:1] or (
        datetime.now(UTC),
    )
    return now.astimezone(UTC)
