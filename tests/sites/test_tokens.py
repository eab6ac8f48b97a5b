"""A token opens one call, of the agent, site and page that it was made for, and soon."""

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.core.signing import TimestampSigner
from django.db import connections
from django.db.models.functions import Now

from calls.models import OWN_SITE, Agent, Site, UsedToken
from calls.store import tokens
from calls.store.tokens import TokenRefusedError, token_mint, token_take
from calls.store.visits import Caps

SHOP = "https://shop.example"


@pytest.fixture(autouse=True)
def site(db) -> Site:
    desk = Agent.objects.create(slug="desk", name="Desk")
    Agent.objects.create(slug="night", name="Night")
    site = Site.objects.create(
        slug="shop", name="Shop", origins=[SHOP, "https://www.shop.example:443"]
    )
    site.agents.add(desk)
    return site


def minted(**given) -> str:
    return token_mint(**{"site": "shop", "agent": "desk"} | given).value


def take(text: str, agent: str = "desk", origin: str = ""):
    return token_take(text, agent=agent, origin=origin)


def refused(text: str, **given) -> bool:
    before = UsedToken.objects.count()
    try:
        take(text, **given)
    except TokenRefusedError:
        assert UsedToken.objects.count() == before, "a token that is refused is not used up"
        return True
    return False


def test_what_was_put_in_comes_out():
    caps = Caps(max_call_ms=60_000, max_cost_micros=5_000)
    user = User.objects.create_user("ann")
    token = token_mint(
        site="shop", agent="desk", caller="Ännchen", metadata={"order": [1, None, "ß"]}, caps=caps,
        user_id=user.pk, origin="HTTPS://shop.example:443", seconds=30,
    )  # fmt: skip
    claims = take(token.value, origin=SHOP)
    assert (claims.site, claims.agent, claims.origin) == ("shop", "desk", SHOP)
    assert (claims.caller, claims.metadata) == ("Ännchen", {"order": [1, None, "ß"]})
    assert (claims.caps, claims.user_id, claims.token_id) == (caps, user.pk, token.token_id)
    assert token.value not in repr(token)


def test_it_is_good_once():
    text = minted()
    take(text)
    assert refused(text)


def test_making_one_stores_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        minted()


class Clock:
    """What signatures are dated by."""

    now_s = 1_000.0

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(signing, "time", clock)
    return clock


@pytest.mark.parametrize("seconds", [1, 90, 120])
def test_it_is_good_for_as_long_as_it_says(clock, seconds):
    early, late = minted(seconds=seconds), minted(seconds=seconds)
    clock.now_s += seconds
    assert not refused(early)
    clock.now_s += 1
    assert refused(late)


def test_the_settings_say_how_long(settings, clock):
    settings.CALLS = settings.CALLS | {"TOKEN_SECONDS": 7}
    assert token_mint(site="shop", agent="desk").expires_at == 1_007
    settings.CALLS = settings.CALLS | {"TOKEN_SECONDS": 100_000}
    assert token_mint(site="shop", agent="desk").expires_at == 1_120


def test_every_flipped_character_spoils_it():
    text = minted()
    for at, letter in enumerate(text):
        other = "A" if letter != "A" else "B"
        assert refused(text[:at] + other + text[at + 1 :]), at
    assert not refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vct_",
        ":",
        "vct_::",
        "vct_a:b:c",
        "vct_" + "x" * 5_000,
        "vct_ä:b:c",
        "vct_\ud800",
        "vct_..:1:x",
    ],
)
def test_what_is_none_is_refused(text):
    assert refused(text)


def test_another_salt_is_another_thing():
    fields = {"i": "x", "s": "shop", "a": "desk", "n": 90}

    def signed(salt: str | None) -> str:
        return "vct_" + TimestampSigner(salt=salt).sign_object(fields)

    assert refused(signed("calls.other"))
    assert refused(signed(None))
    assert not refused(signed("calls.token"))


def test_the_secret_key_may_change(settings):
    text = minted()
    former, settings.SECRET_KEY = settings.SECRET_KEY, "another" * 10
    assert refused(text)
    settings.SECRET_KEY_FALLBACKS = [former]
    assert not refused(text)


def test_it_is_for_one_agent_that_its_site_has(site):
    assert refused(minted(), agent="night")
    assert refused(minted(agent="night"), agent="night")
    Site.objects.update(all_agents=True)
    assert not refused(minted(agent="night"), agent="night")
    Agent.objects.update(active=False)
    assert refused(minted())


def test_it_is_for_a_site_that_is_there_and_on():
    assert refused(minted(site="other"))
    text = minted()
    Site.objects.update(active=False)
    assert refused(text)


ORIGINS = [
    # made for        brought by                      good
    ("",              "",                             True),
    ("",              SHOP,                           True),
    ("",              "https://www.shop.example",     True),
    ("",              "https://evil.example",         False),
    ("",              "http://shop.example",          False),
    ("",              "file://",                      False),
    (SHOP,            "",                             True),
    (SHOP,            SHOP,                           True),
    (SHOP,            "https://www.shop.example",     False),
    ("https://evil.example", "https://evil.example",  False),
]  # fmt: skip


@pytest.mark.parametrize(("made_for", "brought_by", "good"), ORIGINS)
def test_pages(made_for, brought_by, good):
    assert refused(minted(origin=made_for), origin=brought_by) is not good


def test_allowed_origins_are_this_servers_own(settings):
    settings.CALLS = settings.CALLS | {"ALLOWED_ORIGINS": ["https://friend.example"]}
    assert not refused(minted(site=OWN_SITE), origin="https://friend.example")
    assert refused(minted(), origin="https://friend.example")


def test_somebody_who_may_no_longer_log_in_calls_no_more():
    user = User.objects.create_user("ann")
    text = minted(user_id=user.pk)
    User.objects.update(is_active=False)
    assert refused(text)
    User.objects.all().delete()
    assert refused(text)


TOO_MUCH = [
    {"caller": "x" * 201}, {"metadata": {"a": "x" * 2_048}}, {"metadata": {"a": object()}},
    {"metadata": {"a": float("nan")}}, {"seconds": 0}, {"seconds": 121}, {"origin": "shop.example"},
    {"origin": "https://shop.example/path"}, {"agent": "x" * 3_100},
]  # fmt: skip


@pytest.mark.parametrize("given", TOO_MUCH)
def test_what_is_too_much_makes_none(given):
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are for people
        minted(**given)


def test_the_largest_fits():
    text = minted(caller="x" * 200, metadata={"a": "x" * 2_030})
    assert len(text) <= 4_096
    assert not refused(text)


def test_used_ones_are_forgotten_in_small_batches(monkeypatch):
    monkeypatch.setattr(tokens, "_PURGED_AT_ONCE", 3)
    for number in range(5):
        UsedToken.objects.create(token_id=str(number), expires_at=Now() - timedelta(seconds=1))
    take(minted())
    assert UsedToken.objects.count() == 5 - 3 + 1
    take(minted())
    assert UsedToken.objects.count() == 2


def test_a_used_one_is_kept_until_it_would_be_refused_for_its_age():
    take(minted(seconds=120))
    assert UsedToken.objects.filter(expires_at__gt=Now() + timedelta(seconds=120)).count() == 1


def test_the_log_says_why_and_nothing_else(caplog):
    text = minted()
    take(text)
    with caplog.at_level(logging.INFO, "calls"):
        refused(text)
        refused(text[:-1])
    assert [record.why for record in caplog.records] == ["used", "BadSignature"]
    told = str([record.__dict__ for record in caplog.records])
    assert text[:-1] not in told
    assert text.rpartition(":")[2][:-1] not in told


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_gets_in():
    text, many = minted(), 6
    together = Barrier(many)

    def run(_number: int) -> bool:
        together.wait(10)
        try:
            return not refused_quietly(text)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(many) as threads:
        assert sum(threads.map(run, range(many))) == 1


def refused_quietly(text: str) -> bool:
    try:
        take(text)
    except TokenRefusedError:
        return True
    return False
