"""Providers that stay away, and come back: breakers, apologies, and the end of a call."""

import pytest

from calls.domain.errors import EndReason
from calls.providers.choice.breaker import FATAL_MS, OPEN_MS, Breakers
from tests.doubles.providers.base import Fault
from tests.doubles.providers.openai_http import problem, says
from tests.faults.bench import APOLOGY, BUDGET, CLOCK, calling, cascade
from tests.faults.leaks import nothing_left
from tests.faults.others import SteadyMind
from tests.faults.providers import (
    CHAT,
    FIRST_TEXT,
    SCRIBE,
    SPARE_TEXT,
    SPOKEN,
    TRANSCRIPTION,
    VOICE_HTTP,
    Provider,
)

pytestmark = pytest.mark.usefixtures("fast")

EVER = 20
MUTE, DOWN = Fault(stall_headers=True), Fault(status=500, body="no")


@pytest.mark.asyncio
@pytest.mark.parametrize("provider", [CHAT, TRANSCRIPTION, VOICE_HTTP], ids=lambda p: p.title)
async def test_a_dead_provider_costs_only_the_first_turns_their_patience(
    provider: Provider,
) -> None:
    double, breakers = provider.double(), Breakers(CLOCK)
    async with nothing_left(double):
        await provider.ready(double)
        double.fail(provider.path, *[MUTE] * EVER)
        stages = {provider.stage.value: [provider.build(double), provider.spare()]}
        async with calling(cascade(**stages, breakers=breakers)) as call:
            silences = [(await call.says_something()).silence_ms for _ in range(5)]
            await call.hangs_up()
        async with calling(cascade(**stages, breakers=breakers)) as call:
            silences.append((await call.says_something()).silence_ms)
    assert len(double.asked) == 3
    assert min(silences[:3]) >= BUDGET.first_ms
    assert max(silences[3:]) < BUDGET.first_ms


@pytest.mark.asyncio
async def test_a_provider_that_works_again_is_found_out_by_one_request() -> None:
    double = CHAT.double()
    async with nothing_left(double):
        await CHAT.ready(double)
        double.fail(CHAT.path, *[DOWN] * 3)
        async with calling(cascade(llm=[CHAT.build(double), CHAT.spare()])) as call:
            said = [(await call.says_something()).words for _ in range(3)]
            CLOCK.skipped_ms += OPEN_MS
            said += [(await call.says_something()).words for _ in range(2)]
    assert said == [SPARE_TEXT] * 3 + [FIRST_TEXT] * 2
    assert len(double.asked) == 5


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "refusal",
    [
        problem(401, "invalid_api_key"),
        problem(429, "insufficient_quota"),
        problem(404, "model_not_found"),
    ],
    ids=["401", "insufficient_quota", "404"],
)
async def test_what_only_a_person_can_help_with_is_asked_once_a_minute(refusal: Fault) -> None:
    double = CHAT.double()
    async with nothing_left(double):
        await CHAT.ready(double)
        double.fail(CHAT.path, *[refusal] * EVER)
        async with calling(cascade(llm=[CHAT.build(double), CHAT.spare()])) as call:
            for asked, skipped_ms in ((1, 0), (1, OPEN_MS), (2, FATAL_MS)):
                CLOCK.skipped_ms += skipped_ms
                noticed = await call.says_something()
                assert (noticed.words, noticed.errors) == (SPARE_TEXT, [])
                assert len(double.asked) == asked


@pytest.mark.asyncio
async def test_when_all_are_gone_the_last_resort_apologises_until_one_returns() -> None:
    mind, mouth = CHAT.double(), VOICE_HTTP.double()
    async with nothing_left(mind, mouth):
        await CHAT.ready(mind)
        await VOICE_HTTP.ready(mouth)
        mind.answers.clear()
        mind.answers.append(says("All is well."))
        mind.fail(CHAT.path, *[DOWN] * 3)
        mouth.fail(VOICE_HTTP.path, *[DOWN] * 3)
        stages = {"llm": [CHAT.build(mind)], "tts": [VOICE_HTTP.build(mouth)]}
        async with calling(cascade(**stages)) as call:
            gone = [await call.says_something() for _ in range(2)]
            CLOCK.skipped_ms += 2 * OPEN_MS
            back = await call.says_something()
            assert await call.hangs_up() is EndReason.CALLER_HUNG_UP
    assert [(n.words, n.voices, n.errors) for n in gone] == [
        (APOLOGY, ["last"], ["llm_failed"])
    ] * 2
    assert (back.words, back.voices, back.errors) == ("All is well.", ["first"], [])
    assert [call.turn(n).error for n in (1, 2, 3)] == ["llm_failed", "llm_failed", ""]


@pytest.mark.asyncio
@pytest.mark.parametrize("provider", [CHAT, TRANSCRIPTION, SCRIBE], ids=lambda p: p.title)
async def test_when_none_returns_the_call_ends_after_as_many_failures_as_it_may_have(
    provider: Provider,
) -> None:
    double = provider.double()
    async with nothing_left(double):
        await provider.ready(double)
        double.fail(provider.path, *[DOWN] * EVER)
        async with calling(cascade(**{provider.stage.value: [provider.build(double)]})) as call:
            noticed = [await call.says_something() for _ in range(3)]
            assert await call.ended() is EndReason.PROVIDER_FAILED
    error = f"{provider.stage.value}_failed"
    assert [(n.words, n.errors) for n in noticed] == [(APOLOGY, [error])] * 3
    assert call.records.reason is EndReason.PROVIDER_FAILED
    assert [call.turn(n).error for n in (1, 2, 3)] == [error] * 3


@pytest.mark.asyncio
async def test_voices_that_are_gone_are_not_a_failure_of_the_call() -> None:
    """The last resort speaks on for as long as it takes."""
    double = VOICE_HTTP.double()
    async with nothing_left(double):
        await VOICE_HTTP.ready(double)
        double.fail(VOICE_HTTP.path, *[DOWN] * EVER)
        stages = {"llm": [SteadyMind(SPOKEN)], "tts": [VOICE_HTTP.build(double)]}
        async with calling(cascade(**stages)) as call:
            noticed = [await call.says_something() for _ in range(4)]
            assert await call.hangs_up() is EndReason.CALLER_HUNG_UP
    assert [(n.words, n.voices, n.errors) for n in noticed] == [(SPOKEN, ["last"], [])] * 4
    assert {call.turn(n).tts for n in range(1, 5)} == {"last:voice"}
