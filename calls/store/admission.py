"""Whether one more call may begin, and how far it may go.

Decided in the transaction that puts the conversation on the record, while nobody else can decide
for the same site: so limits hold exactly, however many processes there are. A limit counts what is
on the record, and a call that was refused is not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Now

from calls.domain.errors import CallError, ErrorCode
from calls.models import OWN_SITE, ConsentMode, Conversation, ConversationStatus, Site
from calls.models.text import clean_text
from calls.store.agents import AgentSettings
from calls.store.sites import SiteTerms, site_terms
from calls.store.visits import Caps, Visit

HOUR = timedelta(hours=1)

SITE_OFF = "No calls are taken here at the moment."
NOT_ITS_AGENT = "This agent cannot be called from here."
NO_TOKEN = "This agent is reached only with a token or a key."  # noqa: S105 - a sentence
NO_TOKEN_HERE = "Calls are taken here only with a token or a key."  # noqa: S105 - a sentence
NO_CONSENT = "Please agree to the notice about this call first."
SITE_CALLS = "All lines of this site are busy. Please try again in a moment."
ADDRESS_CALLS = "There are too many calls from your address at the moment."
SITE_HOUR = "This site has had all its calls of this hour. Please try again later."
ADDRESS_HOUR = "There have been too many calls from your address. Please try again in an hour."
DAY_MINUTES = "This site has used up its minutes of today. Please try again tomorrow."
DAY_MONEY = "This site has used up its budget of today. Please try again tomorrow."
CALL_MONEY = "There is no money left for this call."


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A call that may begin.

    Attributes:
        site_id: of the site's row; None: this server's own, which has none.
        caps: at what it is ended: the least of what agent, site and token say.
        day: of UTC, by the database's clock.
    """

    site_id: int | None
    caps: Caps
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class DayUse:
    """What a site's calls of one day came to; those that go on are counted as far as they are.

    Attributes:
        live: so many of them go on.
    """

    ms: int = 0
    micros: int = 0
    live: int = 0


def admit(visit: Visit, agent: AgentSettings) -> Admission:
    """Let a call in. To be called in the transaction that writes it down.

    Raises:
        CallError: UNAUTHORIZED, CONSENT_REQUIRED, FORBIDDEN or LIMIT_REACHED.
        DatabaseError: the database cannot be asked.
    """
    _known(visit, agent)
    terms, now = _terms_locked(visit.site)
    if terms is None or not terms.active:
        raise CallError(ErrorCode.FORBIDDEN, SITE_OFF)
    if terms.slug == OWN_SITE and not (terms.public or visit.token_id or visit.trusted):
        raise CallError(ErrorCode.UNAUTHORIZED, NO_TOKEN_HERE)
    if not terms.allows(agent.slug):
        raise CallError(ErrorCode.FORBIDDEN, NOT_ITS_AGENT)
    _within_limits(terms, visit.address, now)
    caps = Caps(
        max_call_ms=_least(
            agent.policy.max_call_ms or None, terms.max_call_ms, visit.caps.max_call_ms
        ),
        max_cost_micros=_least(terms.max_call_micros, visit.caps.max_cost_micros),
    )
    if caps.max_cost_micros == 0:
        raise CallError(ErrorCode.LIMIT_REACHED, CALL_MONEY)
    return Admission(site_id=terms.site_id, caps=caps, day=now.astimezone(UTC).date())


def _known(visit: Visit, agent: AgentSettings) -> None:
    """What needs no look at the site."""
    if agent.token_required and not (visit.token_id or visit.trusted):
        raise CallError(ErrorCode.UNAUTHORIZED, NO_TOKEN)
    if agent.consent_mode == ConsentMode.REQUIRED and not visit.consented:
        raise CallError(ErrorCode.CONSENT_REQUIRED, NO_CONSENT)


def _terms_locked(slug: str) -> tuple[SiteTerms | None, datetime]:
    """The site's terms, None if there is no such site, and the database's time.

    Its row is locked for this transaction; SQLite locks the whole database instead, from the
    beginning of the transaction on. A site without a row has no limits, and so nothing to lock.
    """
    rows = Site.objects.select_for_update(no_key=True).annotate(now=Now())
    row = rows.filter(slug=clean_text(slug)).first()
    if row is not None:
        return site_terms(row), row.now
    now = datetime.now(UTC)  # of use for the day of prices alone
    return SiteTerms(site_id=None, slug=OWN_SITE, public=True) if slug == OWN_SITE else None, now


def _within_limits(terms: SiteTerms, address: str, now: datetime) -> None:
    """Count what the limits ask for, and nothing else.

    Raises:
        CallError: LIMIT_REACHED.
    """
    calls = Conversation.objects.filter(site_slug=terms.slug).order_by()
    live = calls.filter(status=ConversationStatus.ACTIVE)
    recent = calls.filter(started_at__gt=now - HOUR)
    of_address = Q(address_key=address)
    at_once = (
        (live, terms.max_calls, Q(), SITE_CALLS),
        (live, _if(address, terms.max_address_calls), of_address, ADDRESS_CALLS),
    )
    in_an_hour = (
        (recent, terms.max_calls_per_hour, Q(), SITE_HOUR),
        (recent, _if(address, terms.max_address_calls_per_hour), of_address, ADDRESS_HOUR),
    )
    _count_below(at_once)
    _count_below(in_an_hour)
    _day_left(terms, now)


def _if(address: str, limit: int | None) -> int | None:
    """Callers without an address share none."""
    return limit if address else None


def _count_below(
    limits: Sequence[tuple[QuerySet[Conversation], int | None, Q, str]],
) -> None:
    """Both counts of one set of rows, in one query.

    Raises:
        CallError: one of them has reached its limit.
    """
    if all(limit is None for _, limit, _, _ in limits):
        return
    rows = limits[0][0]
    counts = rows.aggregate(
        **{f"n{at}": Count("pk", filter=which) for at, (_, _, which, _) in enumerate(limits)}
    )
    for at, (_, limit, _, words) in enumerate(limits):
        if limit is not None and counts[f"n{at}"] >= limit:
            raise CallError(ErrorCode.LIMIT_REACHED, words)


def _day_left(terms: SiteTerms, now: datetime) -> None:
    if terms.max_day_ms is None and terms.max_day_micros is None:
        return
    used = day_use([terms.slug], now).get(terms.slug, DayUse())
    if words := day_over(used, terms.max_day_ms, terms.max_day_micros):
        raise CallError(ErrorCode.LIMIT_REACHED, words)


def day_over(used: DayUse, max_ms: int | None, max_micros: int | None) -> str:
    """Which budget of the day is used up, as a sentence; empty: none."""
    if max_ms is not None and used.ms >= max_ms:
        return DAY_MINUTES
    if max_micros is not None and used.micros >= max_micros:
        return DAY_MONEY
    return ""


def day_use(slugs: Iterable[str], now: datetime) -> dict[str, DayUse]:
    """What the calls of these sites came to that began on the day of UTC that `now` lies in.

    Two queries, however many sites.
    """
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    calls = Conversation.objects.filter(site_slug__in=set(slugs), started_at__gte=midnight)
    sums = (
        calls.order_by()
        .values("site_slug")
        .annotate(ms=Sum("duration_ms"), micros=Sum("cost_micros"))
    )
    spent = {row["site_slug"]: row for row in sums}
    began: dict[str, list[datetime]] = {slug: [] for slug in spent}
    live = calls.filter(status=ConversationStatus.ACTIVE).order_by()
    for slug, started_at in live.values_list("site_slug", "started_at"):
        began.setdefault(slug, []).append(started_at)
    return {
        slug: DayUse(
            ms=_sum(spent, slug, "ms") + sum(_since_ms(at, now) for at in starts),
            micros=_sum(spent, slug, "micros"),
            live=len(starts),
        )
        for slug, starts in began.items()
    }


def _sum(rows: Mapping[str, Mapping[str, Any]], slug: str, name: str) -> int:
    return rows.get(slug, {}).get(name) or 0


def _since_ms(at: datetime, now: datetime) -> int:
    return max(timedelta(), now - at) // timedelta(milliseconds=1)


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def consent_columns(visit: Visit, agent: AgentSettings) -> dict[str, Any]:
    """What the record says of consent.

    A text that was neither agreed to nor is spoken was perhaps never seen: it does not stand there.
    """
    told = visit.consented or agent.consent_mode == ConsentMode.SPOKEN
    if not agent.consent_text or not told:
        return {}
    agreed = {"consented_at": Now()} if visit.consented else {}
    return {"consent_text": agent.consent_text, **agreed}
