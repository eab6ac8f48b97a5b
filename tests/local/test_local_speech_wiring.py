"""An agent that asks for downloaded models gets them, and its callers hear no warning of others."""

from dataclasses import replace

import pytest

from calls import wiring
from calls.models import Agent
from calls.store.agents import AgentSettings, agent_settings
from calls.wiring.choosing import services


@pytest.fixture
def agent() -> AgentSettings:
    return agent_settings(Agent(slug="local", name="Local"))


@pytest.mark.parametrize("stt", ["embedded", "whisper"])
@pytest.mark.parametrize("tts", ["embedded", "piper"])
def test_an_agent_gets_the_local_engines_that_it_asks_for(agent: AgentSettings, stt, tts):
    chosen = services(replace(agent, stt_provider=stt, tts_provider=tts))
    assert (chosen.stt.name == "whisper") is (stt == "whisper")
    assert chosen.tts is not None
    assert (chosen.tts.name == "piper") is (tts == "piper")


def test_an_agent_without_a_voice_has_none(agent: AgentSettings):
    assert services(replace(agent, tts_provider="piper", tts_disabled=True)).tts is None


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
