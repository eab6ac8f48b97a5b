"""What `manage.py check` finds out before a caller does."""

from datetime import date

import pytest
from django.conf import settings as django_settings

from calls import checks
from calls.models import Agent
from calls.providers.catalogue import model_default, model_find, models

pytestmark = pytest.mark.django_db


@pytest.fixture
def having(settings):
    def have(**calls):
        settings.CALLS = django_settings.CALLS | calls

    return have


@pytest.fixture(autouse=True)
def _before_christmas(monkeypatch):
    monkeypatch.setattr(checks, "today", lambda: date(2026, 12, 20))


def ids(messages):
    return [message.id for message in messages]


def in_database():
    return checks.agents_database_check(None, databases=["default"])


def test_nothing_is_said_of_an_installation_as_it_comes():
    Agent.objects.create(slug="demo", name="Demo")
    assert checks.agents_check(None) == []
    assert in_database() == []


def test_without_a_database_to_look_at_agents_are_left_alone():
    Agent.objects.create(slug="a", name="A", stt_provider="openai")
    assert checks.agents_database_check(None, databases=None) == []


def test_a_model_that_will_end_is_named_with_its_replacement(having):
    having(MODELS={"openai:llm": "gpt-4o-2024-11-20"}, OPENAI_API_KEY="sk")
    (found,) = checks.agents_check(None)
    assert found.id == checks.MODEL_ENDS
    assert "gpt-4o-2024-11-20" in found.msg
    assert "2027-01-14" in found.msg
    assert found.hint == f"Use {model_default('openai', 'llm')!r} instead."


def test_a_model_that_has_ended_and_one_that_ends_much_later(having):
    having(MODELS={"openai:llm": "gpt-5-mini", "openai:stt": "gpt-transcribe"})
    assert ids(checks.agents_check(None)) == [checks.MODEL_ENDED]
    having(MODELS={"openai:stt": "whisper-1"})
    assert checks.agents_check(None) == []
    having(MODELS={"openai:stt": "whisper-1"}, MODEL_WARNING_DAYS=90)
    assert ids(checks.agents_check(None)) == [checks.MODEL_ENDS]


def test_models_that_agents_name_are_looked_at_too(having):
    having(OPENAI_API_KEY="sk")
    Agent.objects.create(slug="a", name="A", llm_provider="openai", llm_model="gpt-4.1-mini")
    Agent.objects.create(slug="b", name="B", realtime_model="gpt-realtime-mini")
    Agent.objects.create(slug="c", name="C", llm_provider="openai", llm_model="gpt-5", active=False)
    found = in_database()
    assert ids(found) == [checks.MODEL_ENDS] * 2
    assert "'a'" in found[0].msg


def test_an_agent_whose_provider_is_not_set_up_is_an_error():
    Agent.objects.create(slug="a", name="A", stt_provider="openai", tts_fallbacks=["elevenlabs"])
    Agent.objects.create(slug="b", name="B", session="openai-realtime", stt_provider="elevenlabs")
    found = in_database()
    assert ids(found) == [checks.PROVIDER_NOT_SET_UP] * 3
    assert "needs OPENAI_API_KEY" in found[0].msg
    assert "needs ELEVENLABS_API_KEY" in found[1].msg
    assert "needs OPENAI_API_KEY" in found[2].msg


def test_a_profile_that_nobody_knows_is_an_error(having):
    having(STT_PROFILE="speeches")
    (found,) = checks.agents_check(None)
    assert found.id == checks.UNKNOWN_PROFILE
    assert "speaches" in found.msg, "those that are known are named"


def test_the_table_of_models_makes_sense():
    for model in models():
        assert model.roles
        assert bool(model.ends_on) is bool(model.replacement), model.name
        if model.replacement:
            successor = model_find(model.provider, model.replacement)
            assert successor is not None
            assert successor.ends_on is None, f"{model.name} is replaced by what ends as well"
    assert len({(m.provider, m.name) for m in models()}) == len(models())


@pytest.mark.parametrize(
    ("provider", "role"),
    [
        ("openai", "llm"),
        ("openai", "stt"),
        ("openai", "stt-live"),
        ("openai", "realtime"),
        ("openai", "realtime-tts"),
        ("openai", "transcription"),
        ("elevenlabs", "stt"),
        ("elevenlabs", "stt-live"),
        ("elevenlabs", "tts"),
    ],
)
def test_every_role_has_a_model_that_nobody_has_called_off(provider, role):
    assert model_find(provider, model_default(provider, role)).ends_on is None


def test_a_dated_name_belongs_to_the_family_with_the_longest_name():
    assert model_find("openai", "gpt-4o-mini-tts-2025-12-15").name == "gpt-4o-mini-tts"
    assert model_find("openai", "gpt-4o-2024-11-20").name == "gpt-4o"
    assert model_find("openai", "gpt-4omni") is None
    assert model_find("elsewhere", "gpt-4o") is None
