"""An agent that asks for downloaded models gets them, and its callers hear no warning of others."""

from dataclasses import replace

import pytest

from calls import wiring
from calls.models import Agent
from calls.models.providers import stt_choices, tts_choices
from calls.store.agents import AgentSettings, agent_settings


@pytest.fixture
def agent() -> AgentSettings:
    return agent_settings(Agent(slug="local", name="Local"))


def test_what_an_agent_may_choose_is_what_there_is(agent: AgentSettings):
    for (stt, _), (tts, _) in zip(stt_choices(), tts_choices(), strict=True):
        services = wiring._services(replace(agent, stt_provider=stt, tts_provider=tts))
        local = stt != "embedded"
        assert (services.stt.name == "whisper") is local
        assert services.tts is not None
        assert (services.tts.name == "piper") is local


def test_an_agent_without_a_voice_has_none(agent: AgentSettings):
    assert wiring._services(replace(agent, tts_provider="piper", tts_disabled=True)).tts is None


@pytest.mark.parametrize(
    ("stt", "tts", "notice"),
    [
        ("whisper", "piper", "Offline demo voice: scripted answers."),
        ("whisper", "embedded", "Offline demo voice: robotic voice, scripted answers."),
        (
            "embedded",
            "piper",
            "Offline demo voice: English, quiet room, short sentences, scripted answers.",
        ),
    ],
)
def test_the_notice_names_the_limits_of_the_embedded_engines_alone(agent, stt, tts, notice):
    assert wiring.notice(replace(agent, stt_provider=stt, tts_provider=tts)) == notice
