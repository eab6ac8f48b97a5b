"""Sites as calls take them: one frozen value with everything that a site allows."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.db import DatabaseError

from calls.models import OWN_SITE, Site
from calls.models.text import clean_text
from calls.origins import origin_of
from calls.store.database import in_database

logger = logging.getLogger(__name__)

MICROS = 1_000_000
ORIGINS_KNOWN_S = 10
ORIGINS_ASKED_AGAIN_S = 1
ORIGINS_WAIT_S = 2


class SiteNotFoundError(LookupError):
    """No site has that slug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteTerms:
    """What a site allows. None: no limit.

    Attributes:
        site_id: of the row; None: this server's own site, which has no row.
        origins: whose pages may show its calls, as `calls.origins.origin_of` writes them.
        agents: slugs; None: every active one.
        max_call_micros: money for one call, in millionths of the currency.
        max_day_micros: money for all calls of a day of UTC.
    """

    site_id: int | None
    slug: str
    active: bool = True
    public: bool = False
    origins: frozenset[str] = frozenset()
    agents: frozenset[str] | None = None
    max_calls: int | None = None
    max_calls_per_hour: int | None = None
    max_address_calls: int | None = None
    max_address_calls_per_hour: int | None = None
    max_call_ms: int | None = None
    max_day_ms: int | None = None
    max_call_micros: int | None = None
    max_day_micros: int | None = None

    def allows(self, agent: str) -> bool:
        return self.agents is None or agent in self.agents


def site_get(slug: str) -> SiteTerms:
    """The terms of a site, whether it is active or not.

    Raises:
        SiteNotFoundError: there is none.
        DatabaseError: the database cannot be asked.
    """
    row = Site.objects.filter(slug=clean_text(slug)).first()
    if row is not None:
        return site_terms(row)
    if slug == OWN_SITE:
        return SiteTerms(site_id=None, slug=OWN_SITE, public=True)
    raise SiteNotFoundError(slug)


def site_terms(row: Site) -> SiteTerms:
    every = row.all_agents or row.slug == OWN_SITE
    return SiteTerms(
        site_id=row.pk,
        slug=row.slug,
        active=row.active,
        public=row.public,
        origins=frozenset(filter(None, map(origin_of, row.origins))),
        agents=None if every else frozenset(row.agents.values_list("slug", flat=True)),
        max_calls=row.max_calls,
        max_calls_per_hour=row.max_calls_per_hour,
        max_address_calls=row.max_address_calls,
        max_address_calls_per_hour=row.max_address_calls_per_hour,
        max_call_ms=_times(row.max_call_seconds, 1_000),
        max_day_ms=_times(row.max_minutes_per_day, 60_000),
        max_call_micros=_micros(row.max_call_cost),
        max_day_micros=_micros(row.max_day_cost),
    )


def own_site_ensure() -> None:
    """A row for this server's own calls, without limits, so that staff can set some."""
    unlimited = dict.fromkeys(
        ("max_calls", "max_calls_per_hour", "max_address_calls", "max_address_calls_per_hour"),
    )
    Site.objects.get_or_create(
        slug=OWN_SITE,
        defaults={
            "name": "This server's own calls",
            "public": True,
            "all_agents": True,
            "max_call_seconds": None,
            **unlimited,
        },
    )


def sites_with(origin: str) -> Iterator[SiteTerms]:
    """The active sites that list this origin, as `origin_of` writes it; the oldest first."""
    for row in Site.objects.filter(active=True).order_by("pk"):
        if origin in map(origin_of, row.origins):
            yield site_terms(row)


class SitesOrigins:
    """The origins of all active sites, as they were at most 10 seconds ago.

    Whoever knocks with a strange origin makes it ask the database at most once in that time. While
    the database is away what was known counts on; nothing was: no origin is let in.
    """

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._until_s = float("-inf")
        self._asking: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def hold(self, origin: str) -> bool:
        """Whether one of the sites lists it."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._until_s:
            async with self._one_at_a_time(loop):
                if loop.time() >= self._until_s:
                    await self._ask(loop)
        return origin in self._known

    def forget(self) -> None:
        """Ask anew at the next knock."""
        self._until_s = float("-inf")

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        known_s = ORIGINS_ASKED_AGAIN_S
        try:
            async with asyncio.timeout(ORIGINS_WAIT_S):
                self._known = await in_database(_origins)
            known_s = ORIGINS_KNOWN_S
        except (DatabaseError, TimeoutError) as error:
            logger.warning("sites cannot be asked", extra={"error": type(error).__name__})
        self._until_s = loop.time() + known_s

    def _one_at_a_time(self, loop: asyncio.AbstractEventLoop) -> asyncio.Lock:
        if self._asking is None or self._asking[0] is not loop:
            self._asking = (loop, asyncio.Lock())
        return self._asking[1]


sites_origins = SitesOrigins()


def _origins() -> frozenset[str]:
    listed = Site.objects.filter(active=True).values_list("origins", flat=True)
    return frozenset(known for row in listed for origin in row if (known := origin_of(origin)))


def _times(figure: int | None, unit: int) -> int | None:
    return None if figure is None else figure * unit


def _micros(money: Decimal | None) -> int | None:
    return None if money is None else int(money * MICROS)
