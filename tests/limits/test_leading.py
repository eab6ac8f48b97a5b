"""How a call is led within its caps, and consent that is asked for first."""

from dataclasses import replace

import pytest

from calls.domain import events as ev
from calls.domain.policy import Policy
from calls.store.agents import AgentSettings, agent_get, demo_agent_ensure
from calls.store.visits import ANYBODY, NO_CAPS, Caps, Visit
from calls.wiring.leading import call_policy
from tests.doubles.voice import Words
from tests.engine.bench import call, policy

RECORDED = "This call is recorded."
AGREED = Visit(consented=True)


@pytest.fixture
def agent(db) -> AgentSettings:
    demo_agent_ensure()
    return agent_get("demo")


@pytest.mark.parametrize(
    ("cap_ms", "goodbye_ms"),
    [(900_000, 888_000), (72_000, 60_000), (30_000, 25_000), (1_000, 834), (1, 1)],
)
def test_the_goodbye_begins_so_early_that_it_is_over_at_the_cap(agent, cap_ms, goodbye_ms):
    assert call_policy(agent, ANYBODY, Caps(max_call_ms=cap_ms)).max_call_ms == goodbye_ms


def test_without_a_goodbye_the_call_lasts_until_its_cap(agent):
    silent = replace(agent, policy=replace(agent.policy, max_length_text=""))
    assert call_policy(silent, ANYBODY, Caps(max_call_ms=30_000)).max_call_ms == 30_000
    assert call_policy(silent, ANYBODY, NO_CAPS).max_call_ms == 0


@pytest.mark.parametrize(
    ("mode", "visit", "first", "said"),
    [
        ("spoken", ANYBODY, "Hello.", f"{RECORDED} Hello."),
        ("spoken", ANYBODY, None, RECORDED),
        ("spoken", AGREED, "Hello.", "Hello."),
        ("spoken", AGREED, None, None),
        ("shown", ANYBODY, "Hello.", "Hello."),
        ("required", AGREED, "Hello.", "Hello."),
    ],
)
def test_whoever_has_not_agreed_on_a_page_is_told_first(agent, mode, visit, first, said):
    led = replace(
        agent,
        consent_mode=mode,
        consent_text=f" {RECORDED} ",
        policy=Policy(first_message=first, generate_first=first is None),
    )
    assert call_policy(led, visit, NO_CAPS).first_message == said
    nothing = replace(led, consent_text=" ")
    assert call_policy(nothing, visit, NO_CAPS).first_message == first


@pytest.mark.asyncio
async def test_the_notice_is_said_and_then_the_model_greets():
    async with call(policy(first_message=RECORDED, generate_first=True)) as bench:
        bench.voice.answers.append([Words("Good morning!")])
        await bench.attach()
        await bench.clock.advance(100)
        assert [(a.what, a.text) for a in bench.voice.asked] == [("say", RECORDED)]
        await bench.clock.advance(2_000)
        assert bench.voice.whats() == ["say", "respond"]
        assert [item.text for item in bench.records.items.values()] == [RECORDED, "Good morning!"]
        await bench.clock.advance(5_000)
        assert bench.voice.whats() == ["say", "respond"], "it greets once"


@pytest.mark.asyncio
async def test_a_caller_who_speaks_into_the_notice_is_answered_once():
    async with call(policy(first_message=RECORDED, generate_first=True)) as bench:
        await bench.attach()
        await bench.clock.advance(200)
        bench.runner.post(ev.TextTyped(text="What are your hours?"))
        await bench.clock.advance(3_000)
        assert bench.voice.whats() == ["say", "cancel", "respond"]
        assert bench.voice.asked[-1].items[-1].text == "What are your hours?"
