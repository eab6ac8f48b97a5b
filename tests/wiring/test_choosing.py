"""Which services an agent gets, of what its settings ask for and what the installation has."""

import asyncio
from dataclasses import replace

import pytest
from django.conf import settings as django_settings

from calls.domain.errors import CallError
from calls.domain.events import Stage
from calls.models import Agent, Conversation
from calls.models.providers import llm_choices, stt_choices, tts_choices
from calls.providers.catalogue import model_default
from calls.store.agents import AgentSettings, agent_settings
from calls.wire.base import Hello
from calls.wiring import _assemble
from calls.wiring.choosing import candidates, embedded_stages, services, voice_of
from calls.wiring.networked import summarizers
from calls.wiring.offers import offer, offers
from calls.wiring.sessions import realtime_model, speech_to_speech

OPENAI = {"OPENAI_API_KEY": "sk-a"}
ELEVENLABS = {"ELEVENLABS_API_KEY": "el-a"}
OWN = {
    f"{stage}_{what}": value
    for stage in ("STT", "LLM", "TTS")
    for what, value in (("BASE_URL", "http://127.0.0.1:9/v1"), ("MODEL", f"my-{stage}"))
}


@pytest.fixture
def agent() -> AgentSettings:
    return agent_settings(Agent(slug="a", name="A"))


@pytest.fixture
def having(settings):
    """Have an installation with these settings."""

    def have(**calls):
        settings.CALLS = django_settings.CALLS | calls

    return have


def names(agent, stage):
    return [entry.name for entry in candidates(agent, stage)]


@pytest.mark.parametrize(
    ("stage", "choices"),
    [(Stage.STT, stt_choices), (Stage.LLM, llm_choices), (Stage.TTS, tts_choices)],
)
def test_every_name_that_a_form_offers_is_a_provider_and_the_other_way_round(stage, choices):
    known = {entry.name for entry in offers(stage)}
    assert {name for name, _ in choices()} == known | {"auto"}


@pytest.mark.parametrize(
    ("keys", "stt", "llm", "tts"),
    [
        ({}, ["embedded"], ["embedded"], ["embedded"]),
        (OPENAI, ["openai-live", "openai"], ["openai"], ["openai-realtime", "embedded"]),
        (
            ELEVENLABS,
            ["elevenlabs", "elevenlabs-batch"],
            ["embedded"],
            ["elevenlabs", "elevenlabs-http", "embedded"],
        ),
        (
            OPENAI | ELEVENLABS,
            ["elevenlabs", "openai-live", "elevenlabs-batch", "openai"],
            ["openai"],
            ["elevenlabs", "elevenlabs-http", "openai-realtime", "embedded"],
        ),
        (OWN, ["compatible"], ["compatible"], ["compatible", "embedded"]),
    ],
)
def test_an_agent_that_leaves_the_choice_to_us_gets_the_best_there_is(
    agent, having, keys, stt, llm, tts
):
    having(**keys)
    assert names(agent, Stage.STT) == stt
    assert names(agent, Stage.LLM) == llm
    assert names(agent, Stage.TTS) == tts


def test_an_agent_gets_what_it_names_in_its_own_order_without_what_is_not_there(agent, having):
    having(**ELEVENLABS)
    asked = replace(
        agent,
        stt_provider="elevenlabs-batch",
        stt_fallbacks=("openai", "elevenlabs", "embedded", "elevenlabs-batch"),
        tts_provider="openai-realtime",
        tts_fallbacks=("elevenlabs",),
    )
    assert names(asked, Stage.STT) == ["elevenlabs-batch", "elevenlabs", "embedded"]
    assert names(asked, Stage.TTS) == ["elevenlabs", "embedded"]


def test_a_stage_for_which_nothing_is_set_up_refuses_the_call_and_names_no_setting(agent):
    with pytest.raises(CallError, match="Speech to text is not set up for this agent"):
        services(replace(agent, stt_provider="openai"))


def test_a_provider_whose_settings_cannot_be_used_is_passed_over(agent, having, caplog):
    having(**OPENAI, **OWN, STT_PROFILE="speeches")
    asked = replace(agent, stt_provider="compatible", stt_fallbacks=("openai",))
    assert services(asked).stt.name == f"openai:{model_default('openai', 'stt')}"
    assert "speeches" in caplog.text
    with pytest.raises(CallError):
        services(replace(agent, stt_provider="compatible"))


@pytest.mark.django_db(transaction=True)
def test_a_call_that_nothing_is_set_up_for_leaves_no_record():
    Agent.objects.create(slug="b", name="B", llm_provider="openai")
    with pytest.raises(CallError, match="A language model is not set up"):
        asyncio.run(_assemble(Hello(agent="b"), {"protocol": "test", "user_agent": ""}))
    assert not Conversation.objects.exists()


def test_what_the_agents_code_serves_need_not_be_set_up(agent):
    chosen = services(replace(agent, stt_provider="openai"), frozenset({Stage.STT}))
    assert chosen.stt.name == "pocketsphinx"


def test_services_are_named_after_provider_and_model(agent, having):
    having(**OPENAI, **ELEVENLABS)
    chosen = services(agent)
    assert chosen.stt.name == f"elevenlabs:{model_default('elevenlabs', 'stt-live')}"
    assert chosen.llm.name == f"openai:{model_default('openai', 'llm')}"
    assert chosen.tts.name == f"elevenlabs:{model_default('elevenlabs', 'tts')}"


def test_the_agents_model_is_for_its_first_choice_and_the_settings_name_the_others(agent, having):
    having(**OPENAI, **ELEVENLABS, MODELS={"openai:stt": "whisper-1", "openai:realtime": "rt-9"})
    named = replace(agent, stt_provider="elevenlabs", stt_model="scribe_x")
    assert services(named).stt.name == "elevenlabs:scribe_x"
    assert offer(Stage.STT, "openai").model() == "whisper-1"
    assert realtime_model(agent) == "rt-9"
    assert realtime_model(replace(agent, realtime_model="rt-1")) == "rt-1"


def test_a_voice_is_a_name_of_one_provider_only(agent):
    voiced = replace(agent, voice="Rachel", fallback_voices={"embedded": "en-gb"})
    first, spare, other = (offer(Stage.TTS, n) for n in ("elevenlabs", "embedded", "piper"))
    assert voice_of(voiced, first, 0) == "Rachel"
    assert voice_of(voiced, spare, 1) == "en-gb"
    assert voice_of(voiced, other, 2) == ""


def test_eleven_v3_and_v4_speak_by_http(agent, having):
    having(**ELEVENLABS)
    voice = offer(Stage.TTS, "elevenlabs")
    from calls.wiring.offers import Wanted

    kinds = {
        m: type(voice.build(Wanted(model=m))).__name__ for m in ("eleven_v3", "eleven_flash_v2_5")
    }
    assert kinds == {"eleven_v3": "HttpVoice", "eleven_flash_v2_5": "MultiContextVoice"}


def test_only_stages_that_begin_with_the_offline_engines_are_told_of(agent, having):
    assert set(embedded_stages(agent)) == {Stage.STT, Stage.LLM, Stage.TTS}
    having(**OPENAI)
    assert set(embedded_stages(agent)) == set()
    assert set(embedded_stages(replace(agent, tts_provider="embedded"))) == {Stage.TTS}
    assert not set(embedded_stages(replace(agent, session="openai-realtime")))


def test_without_a_voice_no_model_hears_and_speaks(agent):
    asked = replace(agent, session="openai-realtime")
    assert speech_to_speech(asked)
    assert not speech_to_speech(replace(asked, tts_disabled=True))
    assert not speech_to_speech(agent)


def test_the_agents_language_model_writes_the_summary_if_it_is_one(agent, having):
    assert summarizers(agent.snapshot()).model is None
    having(**OPENAI, **OWN)
    assert summarizers(agent.snapshot()).model.name == "compatible:my-LLM"
    asked = replace(agent, llm_provider="openai-responses", llm_model="gpt-5.5")
    assert summarizers(asked.snapshot()).model.name == "openai:gpt-5.5"
    assert summarizers(replace(agent, llm_provider="embedded").snapshot()).model is None
