"""Keys and secrets: made once, kept as hashes, good for what they say and no longer."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.models.functions import Now

from calls.models import Agent, ApiKey, RealtimeSecret
from calls.store import keys
from calls.store.agents import AgentNotFoundError
from calls.store.keys import (
    Grant,
    agent_asked,
    key_check,
    key_create,
    secret_check,
    secret_mint,
    token_check,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def agents():
    for slug in ("demo", "desk", "night"):
        Agent.objects.get_or_create(slug=slug, defaults={"name": slug.title()})
    Agent.objects.create(slug="off", name="Off", active=False)


def agent(slug: str) -> Agent:
    return Agent.objects.get(slug=slug)


def test_a_key_allows_what_its_row_says():
    row, text = key_create("Shop", ["desk", "night"], configures=False)
    assert key_check(text) == Grant(
        agents=("desk", "night"), configures=False, label="Shop", key_id=row.pk
    )
    _, text = key_create("Everything")
    assert key_check(text).agents == ()
    assert key_check(text).allows("whoever comes later")


def test_neither_key_nor_secret_is_kept():
    row, text = key_create("Shop")
    minted = secret_mint(key_check(text), None, "desk", 60)
    kept = str([*ApiKey.objects.values(), *RealtimeSecret.objects.values()])
    assert text.startswith("sk-voice-")
    assert len(text) - len("sk-voice-") >= 43, "256 bits of chance"
    assert row.prefix == text[:12]
    assert text not in kept
    assert minted.value not in kept
    assert minted.value not in repr(minted)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-voice-",
        "sk-voice-guess",
        "ek_guess",
        "x" * 10_000,
        "sk-voice-\x00",
        "sk-voice-\ud800",
    ],
)
def test_what_is_no_key_allows_nothing(text):
    key_create("Shop")
    assert token_check(text) is None
    assert key_check(text) is None
    assert secret_check(text) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("active", False), ("expires_at", datetime(2020, 1, 1, tzinfo=UTC))],
)
def test_a_key_that_is_no_longer_good_takes_its_secrets_along(field, value):
    row, text = key_create("Shop")
    secret = secret_mint(key_check(text), None, "desk", 60).value
    assert secret_check(secret) is not None
    ApiKey.objects.filter(pk=row.pk).update(**{field: value})
    assert (key_check(text), secret_check(secret)) == (None, None)


def test_a_key_whose_agents_are_all_gone_is_not_for_every_agent():
    _, text = key_create("Desk", ["desk"])
    agent("desk").delete()
    assert key_check(text) is None


def test_a_secret_loses_what_its_key_loses():
    row, text = key_create("Two", ["desk", "night"])
    secret = secret_mint(key_check(text), None, "desk", 60).value
    row.agents.remove(agent("desk"))
    assert secret_check(secret) is None
    row.agents.add(agent("desk"))
    assert secret_check(secret) is not None


def test_an_unknown_agent_makes_no_key():
    with pytest.raises(AgentNotFoundError, match="nobody"):
        key_create("Shop", ["desk", "nobody"])
    assert not ApiKey.objects.exists()


def test_a_secret_carries_what_its_maker_configured():
    row, text = key_create("Shop", configures=False)
    session = {"type": "realtime", "instructions": "Sell."}
    minted = secret_mint(key_check(text), session, "desk", 90)
    assert minted.value.startswith("ek_")
    soon = datetime.now(UTC).timestamp() + 90
    assert abs(minted.expires_at - soon) < 10
    granted = Grant(
        agents=("desk",), configures=False, session=session, label="Shop", key_id=row.pk
    )
    assert [secret_check(minted.value), token_check(minted.value)] == [granted, granted]


def test_a_secret_without_a_key_configures_nothing():
    anonymous = Grant(configures=False, label="page")
    granted = secret_check(secret_mint(anonymous, None, "demo", 60).value)
    assert (granted.agents, granted.configures, granted.key_id) == (("demo",), False, None)


def test_a_secret_ends_when_it_said_and_is_deleted_by_a_later_one():
    _, text = key_create("Shop")
    first = secret_mint(key_check(text), None, "desk", 60).value
    RealtimeSecret.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert secret_check(first) is None
    second = secret_mint(key_check(text), None, "desk", 60).value
    assert RealtimeSecret.objects.count() == 1
    assert secret_check(second) is not None


def test_one_minting_deletes_a_bounded_number(monkeypatch):
    monkeypatch.setattr(keys, "_PURGED_AT_ONCE", 3)
    _, text = key_create("Shop")
    for _ in range(5):
        secret_mint(key_check(text), None, "desk", 60)
    RealtimeSecret.objects.update(expires_at=Now() - timedelta(seconds=1))
    secret_mint(key_check(text), None, "desk", 60)
    assert RealtimeSecret.objects.count() == 5 - 3 + 1


def test_use_is_noted_once_a_minute(django_assert_num_queries):
    row, text = key_create("Shop")
    key_check(text)
    row.refresh_from_db()
    noted = row.last_used_at
    assert noted is not None
    with django_assert_num_queries(2):
        key_check(text)
    row.refresh_from_db()
    assert row.last_used_at == noted
    ApiKey.objects.update(last_used_at=noted - timedelta(minutes=2))
    key_check(text)
    row.refresh_from_db()
    assert row.last_used_at >= noted


def test_a_key_works_when_its_use_cannot_be_noted(monkeypatch):
    _, text = key_create("Shop")

    def locked(*_args, **_kwargs):
        raise OperationalError("database is locked")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", locked)
    assert key_check(text) is not None


@pytest.mark.parametrize(
    ("allowed", "model", "reached"),
    [
        ((), "desk", "desk"),
        ((), "gpt-realtime", "demo"),
        ((), "", "demo"),
        ((), "gpt\x00", "demo"),
        ((), "off", None),
        (("desk", "night"), "night", "night"),
        (("desk", "night"), "gpt-realtime", "desk"),
        (("demo", "desk"), "gpt-realtime", "demo"),
        (("desk",), "night", None),
        (("desk",), "demo", None),
        (("off",), "gpt-realtime", None),
    ],
)
def test_a_model_names_an_agent_or_none(allowed, model, reached):
    grant = Grant(agents=allowed)
    if reached is None:
        with pytest.raises(AgentNotFoundError):
            agent_asked(grant, model)
    else:
        assert agent_asked(grant, model) == reached


def test_an_agent_that_wants_a_token_wants_a_key():
    Agent.objects.filter(slug="desk").update(token_required=True)
    with pytest.raises(AgentNotFoundError):
        agent_asked(Grant(label="page"), "desk")
    assert agent_asked(Grant(key_id=1), "desk") == "desk"


def test_an_agent_in_code_is_named_too(settings):
    settings.CALLS = settings.CALLS | {"AGENTS": {"coded": "somewhere.Agent"}}
    assert agent_asked(Grant(), "coded") == "coded"


# The command


def test_the_command_shows_a_key_once(capsys):
    call_command("api_key", "create", "Shop", "--agent", "desk", "--agent", "night", "--fixed")
    text = capsys.readouterr().out.strip()
    grant = key_check(text)
    assert (grant.agents, grant.configures, grant.label) == (("desk", "night"), False, "Shop")
    call_command("api_key", "list")
    listed = capsys.readouterr().out
    name, prefix, state, reach, used = listed.strip().split("\t")
    assert (name, prefix, state, reach) == ("Shop", f"{text[:12]}…", "active", "desk,night")
    assert used != "never used"
    assert text not in listed


def test_the_command_lists_until_when_a_key_is_good(capsys):
    key_create("Shop", expires_at=datetime(2031, 2, 3, 4, 5, tzinfo=UTC))
    call_command("api_key", "list")
    listed = capsys.readouterr().out.strip().split("\t")
    assert listed[2:] == ["until 2031-02-03 04:05", "every agent", "never used"]


@pytest.mark.parametrize("by", ["name", "prefix"])
def test_the_command_revokes_a_key(capsys, by):
    row, text = key_create("Shop")
    _, other = key_create("Other")
    call_command("api_key", "revoke", getattr(row, by))
    assert text not in capsys.readouterr().out
    assert key_check(text) is None
    assert key_check(other) is not None
    call_command("api_key", "list")
    assert "revoked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "  "], "name"),
        (["create", "x" * 101], "name"),
        (["create", "Shop", "--agent", "nobody"], "nobody"),
        (["revoke", "nobody"], "None is called that"),
        (["revoke", "Twice"], "More than one"),
    ],
)
def test_the_command_says_what_is_wrong(words, said):
    key_create("Twice")
    key_create("Twice")
    with pytest.raises(CommandError, match=said):
        call_command("api_key", *words)
    assert ApiKey.objects.filter(active=True).count() == 2
