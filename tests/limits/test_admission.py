"""Which calls may begin: every limit at its edge, alone and with many at once."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connections
from django.db.models import F
from django.db.models.functions import Now

from calls.domain.errors import CallError, ErrorCode
from calls.models import OWN_SITE, Agent, Conversation, Site
from calls.store import admission
from calls.store.admission import day_use
from calls.store.agents import agent_get, demo_agent_ensure
from calls.store.database import in_database
from calls.store.records import Opening, RecordsUnavailableError, conversation_open
from calls.store.sites import own_site_ensure
from calls.store.visits import Caps, Visit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]

FREE = dict.fromkeys(
    ("max_calls", "max_calls_per_hour", "max_address_calls", "max_address_calls_per_hour",
     "max_call_seconds"),
)  # fmt: skip
HOME = Visit(site="shop", address="a" * 32)
ELSEWHERE = Visit(site="shop", address="b" * 32)
NOWHERE = Visit(site="shop")


class Door:
    """A site, and calls that come to it."""

    def __init__(self) -> None:
        self.count = 0

    async def site(self, slug: str = "shop", **limits) -> None:
        await in_database(demo_agent_ensure)
        fields = {"name": slug, "all_agents": True} | FREE | limits
        await in_database(Site.objects.update_or_create, slug=slug, defaults=fields)

    async def call(self, visit: Visit = HOME, **agent) -> str:
        """Open one; its id."""
        self.count += 1
        settings = replace(await in_database(agent_get, "demo"), **agent)
        opening = Opening(
            call_id=f"call-{self.count}",
            agent=settings,
            protocol="browser",
            language="en",
            caller="client says",
            metadata={"page": "/", "who": "client"},
            visit=visit,
        )
        await conversation_open(opening)
        return opening.call_id

    async def refused(self, visit: Visit = HOME, **agent) -> tuple[ErrorCode, str]:
        before = await in_database(Conversation.objects.count)
        with pytest.raises(CallError) as refused:
            await self.call(visit, **agent)
        assert await in_database(Conversation.objects.count) == before, "it leaves no row"
        return refused.value.code, refused.value.message

    async def hits(self, words: str, visit: Visit = HOME) -> None:
        assert await self.refused(visit) == (ErrorCode.LIMIT_REACHED, words)


@pytest.fixture
def door() -> Door:
    return Door()


async def end_all(**fields) -> None:
    """Calls are over; times may be given as well."""
    ended = {"status": "ended", "end_reason": "silence", "ended_at": Now(), "duration_ms": 1_000}
    await in_database(lambda: Conversation.objects.update(**(ended | fields)))


async def age(**ago) -> None:
    """All calls so far began so much earlier."""
    earlier = F("started_at") - timedelta(**ago)
    await in_database(lambda: Conversation.objects.update(started_at=earlier))


# Each limit at its edge


async def test_calls_at_once_of_a_site(door):
    await door.site(max_calls=2)
    await door.call(HOME)
    await door.call(ELSEWHERE)
    await door.hits(admission.SITE_CALLS)
    await end_all()
    await door.call()


async def test_calls_at_once_from_an_address(door):
    await door.site(max_address_calls=1)
    await door.call(HOME)
    await door.hits(admission.ADDRESS_CALLS)
    await door.call(ELSEWHERE)
    for _ in range(3):
        await door.call(NOWHERE)  # nobody knows whether these are one
    await end_all()
    await door.call(HOME)


async def test_calls_in_an_hour_of_a_site(door):
    await door.site(max_calls_per_hour=2)
    await door.call(HOME)
    await door.call(ELSEWHERE)
    await end_all()
    await door.hits(admission.SITE_HOUR)
    await age(minutes=59)
    await door.hits(admission.SITE_HOUR)
    await age(minutes=1, seconds=1)
    await door.call()


async def test_calls_in_an_hour_from_an_address(door):
    await door.site(max_address_calls_per_hour=1)
    await door.call(HOME)
    await end_all()
    await door.hits(admission.ADDRESS_HOUR)
    await door.call(ELSEWHERE)
    await age(minutes=61)
    await door.call(HOME)


async def test_limits_of_one_site_are_not_those_of_another(door):
    await door.site(max_calls=1, max_address_calls=1)
    await door.site("other", max_calls=1, max_address_calls=1)
    await door.call(HOME)
    await door.call(replace(HOME, site="other"))
    await door.hits(admission.SITE_CALLS)


async def test_minutes_of_the_day_with_calls_that_go_on(door):
    await door.site(max_minutes_per_day=10)
    await door.call()
    await end_all(duration_ms=5 * 60_000)
    await door.call()
    await in_database(
        lambda: Conversation.objects.filter(status="active").update(
            started_at=Now() - timedelta(minutes=4, seconds=59)
        )
    )
    if await _within_a_day():
        await door.call()
        await in_database(
            lambda: Conversation.objects.filter(pk="call-3").update(
                started_at=Now() - timedelta(seconds=2)
            )
        )
        await door.hits(admission.DAY_MINUTES)


async def _within_a_day() -> bool:
    """False in the first minutes after midnight, when those calls were yesterday's."""
    rows = await in_database(lambda: list(Conversation.objects.annotate(now=Now())))
    return len({row.started_at.date() for row in rows} | {rows[0].now.date()}) == 1


async def test_yesterday_s_minutes_and_money_are_forgotten(door):
    await door.site(max_minutes_per_day=1, max_day_cost=Decimal(1))
    await door.call()
    await end_all(duration_ms=60_000, cost_micros=1_000_000)
    await door.hits(admission.DAY_MINUTES)
    await age(days=1)
    await door.call()


async def test_money_of_the_day(door):
    await door.site(max_day_cost=Decimal("0.5"))
    await door.call()
    await in_database(lambda: Conversation.objects.update(cost_micros=499_999))
    await door.call()
    await in_database(lambda: Conversation.objects.filter(pk="call-2").update(cost_micros=1))
    await door.hits(admission.DAY_MONEY)


async def test_a_call_without_money_does_not_begin(door):
    await door.site(max_call_cost=Decimal(0))
    await door.hits(admission.CALL_MONEY)
    await door.site(max_call_cost=Decimal(1))
    await door.hits(admission.CALL_MONEY, replace(HOME, caps=Caps(max_cost_micros=0)))
    await door.call()


# Who may call at all


async def test_a_site_that_is_off_or_unknown_takes_no_calls(door):
    await door.site(active=False)
    assert await door.refused() == (ErrorCode.FORBIDDEN, admission.SITE_OFF)
    for slug in ("stranger", "nul\x00", ""):
        assert (await door.refused(Visit(site=slug)))[0] is ErrorCode.FORBIDDEN


async def test_a_site_has_the_agents_that_it_names(door):
    await door.site(all_agents=False)
    assert await door.refused() == (ErrorCode.FORBIDDEN, admission.NOT_ITS_AGENT)
    await in_database(
        lambda: Site.objects.get(slug="shop").agents.add(Agent.objects.get(slug="demo"))
    )
    await door.call()


async def test_this_server_s_own_site_has_limits_only_with_a_row(door):
    await in_database(demo_agent_ensure)
    for _ in range(4):
        await door.call(Visit(address="a" * 32))
    await in_database(own_site_ensure)
    await door.call(Visit(address="a" * 32))
    await door.site(OWN_SITE, max_calls=5)
    await door.hits(admission.SITE_CALLS, Visit())
    await door.site(OWN_SITE, active=False)
    assert (await door.refused(Visit()))[0] is ErrorCode.FORBIDDEN


async def test_this_server_s_own_site_may_be_closed_to_strangers(door):
    await in_database(own_site_ensure)
    await door.site(OWN_SITE, public=False)
    refused = (ErrorCode.UNAUTHORIZED, admission.NO_TOKEN_HERE)
    assert await door.refused(Visit()) == refused
    await door.call(Visit(token_id="t1"))
    await door.call(Visit(trusted=True))


async def test_an_agent_may_want_a_token_or_a_key(door):
    await door.site()
    assert await door.refused(token_required=True) == (ErrorCode.UNAUTHORIZED, admission.NO_TOKEN)
    await door.call(replace(HOME, token_id="t1"), token_required=True)
    await door.call(replace(HOME, trusted=True), token_required=True)


async def test_an_agent_may_insist_on_consent(door):
    await door.site()
    agent = {"consent_mode": "required", "consent_text": "It is recorded."}
    assert await door.refused(**agent) == (ErrorCode.CONSENT_REQUIRED, admission.NO_CONSENT)
    call_id = await door.call(replace(HOME, consented=True), **agent)
    row = await in_database(Conversation.objects.get, pk=call_id)
    assert row.consent_text == "It is recorded."
    assert row.consented_at is not None


@pytest.mark.parametrize(
    ("mode", "consented", "stored", "agreed"),
    [
        ("shown", True, True, True),
        ("shown", False, False, False),
        ("spoken", False, True, False),
        ("spoken", True, True, True),
    ],
)
async def test_the_record_says_what_was_told_and_agreed_to(door, mode, consented, stored, agreed):
    await door.site()
    visit = replace(HOME, consented=consented)
    call_id = await door.call(visit, consent_mode=mode, consent_text="It is recorded.")
    row = await in_database(Conversation.objects.get, pk=call_id)
    assert (bool(row.consent_text), row.consented_at is not None) == (stored, agreed)


# What is on the record of those who may


async def test_the_record_knows_the_visit_and_the_least_of_all_caps(door):
    await door.site(max_call_seconds=60, max_call_cost=Decimal("0.25"))
    visit = replace(
        HOME,
        token_id="t1",
        caller="customer 7",
        metadata={"who": "site"},
        caps=Caps(max_call_ms=90_000, max_cost_micros=100_000),
    )
    row = await in_database(Conversation.objects.get, pk=await door.call(visit))
    site = await in_database(Site.objects.get, slug="shop")
    assert (row.site_id, row.site_slug, row.token_id) == (site.pk, "shop", "t1")
    assert (row.address_key, row.caller) == ("a" * 32, "customer 7")
    assert row.metadata == {"page": "/", "who": "site"}
    assert (row.cap_ms, row.cap_micros) == (60_000, 100_000)
    shorter = replace(visit, caps=Caps(max_call_ms=5_000), caller="")
    row = await in_database(Conversation.objects.get, pk=await door.call(shorter))
    assert (row.cap_ms, row.cap_micros, row.caller) == (5_000, 250_000, "client says")


async def test_without_other_caps_the_agent_s_counts(door):
    await door.site()
    call_id = await door.call(Visit())
    row = await in_database(Conversation.objects.get, pk=call_id)
    assert (row.cap_ms, row.cap_micros, row.site_id) == (900_000, None, None)


async def test_a_call_that_nobody_waits_for_any_longer_leaves_no_row(door, monkeypatch):
    await door.site()
    monkeypatch.setattr("calls.store.records.OPEN_TIMEOUT_S", 0.05)
    holds, opened = threading.Event(), threading.Event()
    admit = admission.admit

    def slow(*args):
        holds.wait(10)
        try:
            return admit(*args)
        finally:
            opened.set()

    monkeypatch.setattr("calls.store.records.admit", slow)
    with pytest.raises(RecordsUnavailableError):
        await door.call()
    holds.set()
    await in_database(opened.wait, 10)
    monkeypatch.undo()
    for _ in range(4):  # every thread of the pool has finished what it did
        await in_database(lambda: None)
    assert await in_database(Conversation.objects.count) == 0


async def test_the_day_of_several_sites_takes_two_queries(door, django_assert_num_queries):
    await door.site()
    await door.site("other")
    await door.call()
    await door.call(replace(HOME, site="other"))
    await end_all(cost_micros=5)
    await door.call()

    def used():
        now = Conversation.objects.annotate(now=Now()).first().now
        with django_assert_num_queries(2):
            return day_use(["shop", "other", "none"], now)

    found = await in_database(used)
    assert {slug: (use.micros, use.live) for slug, use in found.items()} == {
        "shop": (5, 1),
        "other": (5, 0),
    }
    assert found["other"].ms == 1_000


# Many at once


def at_once(opens) -> Counter:
    """Have each of these open a call in a thread of its own, all at the same time."""
    outcomes: Counter = Counter()
    ready = threading.Barrier(len(opens))

    def run(opening):
        ready.wait(10)
        try:
            records_open(opening)
            outcomes["in"] += 1
        except CallError as refused:
            outcomes[refused.message] += 1
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(opening,)) for opening in opens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


def records_open(opening: Opening) -> None:
    from calls.store.records import _open

    _open(opening, threading.Event())


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"max_calls": 5}, admission.SITE_CALLS),
        ({"max_address_calls": 5}, admission.ADDRESS_CALLS),
        ({"max_calls_per_hour": 5}, admission.SITE_HOUR),
        ({"max_address_calls_per_hour": 5}, admission.ADDRESS_HOUR),
    ],
)
async def test_one_more_than_the_limit_at_once_and_exactly_the_limit_comes_in(door, limit, words):
    await door.site(**limit)
    agent = await in_database(agent_get, "demo")
    opens = [
        Opening(call_id=f"c{n}", agent=agent, protocol="browser", language="en", visit=HOME)
        for n in range(12)
    ]
    assert await in_database(at_once, opens) == {"in": 5, words: 7}
    assert await in_database(Conversation.objects.count) == 5
