"""The fault table of a session whose one model hears and speaks, and what such a session leaves."""

import asyncio
from typing import Any

import pytest

from calls.domain.errors import EndReason
from calls.domain.usage import ServiceUse
from calls.ports.voice import VoiceProfile
from calls.providers.openai.realtime.session import RealtimeSession
from calls.providers.openai.realtime.settings import RealtimeSettings
from tests.doubles.providers.base import Fault
from tests.doubles.providers.openai_http import problem
from tests.doubles.providers.openai_realtime import OpenAIRealtimeDouble, Says, Stalls
from tests.faults.bench import APOLOGY, CLOCK, Call, calling
from tests.faults.leaks import freed, nothing_left
from tests.faults.others import LAST_SAMPLE, SteadyVoice
from tests.faults.providers import openai_server
from tests.faults.rows import SESSION_ROWS
from tests.faults.rows_session import SAID, SessionRow

pytestmark = pytest.mark.usefixtures("fast")

MODEL = "gpt-realtime-2.1"
SPEED = 1.5


def stand_in() -> OpenAIRealtimeDouble:
    double = OpenAIRealtimeDouble()
    double.hears.extend(["the first"] * 6)
    double.answers.extend([Says(*SAID)] * 6)
    return double


def session(double: Any) -> RealtimeSession:
    return RealtimeSession(
        openai_server(double),
        RealtimeSettings(model=MODEL, system_prompt="Be kind.", speed=SPEED),
        profile=VoiceProfile("", "", ""),
        clock=CLOCK,
        apology_voice=SteadyVoice(LAST_SAMPLE, "last:voice"),
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("row", SESSION_ROWS, ids=str)
async def test_fault(row: SessionRow) -> None:
    double = stand_in()
    row.prepare(double)
    async with nothing_left(double):
        double.fail("/realtime", *row.strikes)
        async with calling(session(double)) as call:
            async with asyncio.TaskGroup() as beside:
                beside.create_task(let_go(row, call, double))
                noticed = await call.says_something()
            double.works_again()
            after = await call.says_something()
            assert await call.hangs_up() is EndReason.CALLER_HUNG_UP
        await freed(double)
    assert noticed.words.split() == row.words.split()
    assert noticed.voices == list(row.voices)
    assert noticed.errors == ([row.error] if row.error else [])
    assert noticed.silence_ms < row.wait_ms
    assert (after.words, after.voices, after.errors) == ("".join(SAID), ["first"], [])
    uses = sorted(call.records.uses.values(), key=lambda use: use.number)
    assert [told(use) for use in uses if use.turn == 1 and use.provider != "last"] == list(
        row.record
    )
    assert call.turn(1).error == row.turn_error


async def let_go(row: SessionRow, call: Call, double: OpenAIRealtimeDouble) -> None:
    if (held_until := row.held_until) is not None:
        await call.until(lambda: held_until(call, double))
        await call.decided()
        double.go_on.set()


def told(use: ServiceUse) -> str:
    known = "id" if use.request_id else ""
    guessed = "estimated" if use.estimated else ""
    return " ".join(filter(None, (use.stage, use.outcome, known, guessed)))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "refusal",
    [problem(401, "invalid_api_key"), problem(429, "insufficient_quota")],
    ids=["401", "no credit"],
)
async def test_without_hope_the_last_resort_apologises_and_the_call_ends(refusal: Fault) -> None:
    double = stand_in()
    async with nothing_left(double):
        double.fail("/realtime", *[refusal] * 9)
        async with calling(session(double)) as call:
            noticed = [await call.says_something() for _ in range(3)]
            assert await call.ended() is EndReason.PROVIDER_FAILED
    assert [(n.words, n.voices, n.errors) for n in noticed] == [
        (APOLOGY, ["last"], ["stt_failed"])
    ] * 3
    assert len(double.asked) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("words", [(), SAID], ids=["before a word", "in mid-sound"])
async def test_who_interrupts_is_answered_and_who_hangs_up_leaves_nothing(words: Any) -> None:
    double = stand_in()
    double.answers.appendleft([Says(*words), Stalls()] if words else Stalls())
    async with nothing_left(double):
        async with calling(session(double)) as call:
            await call.asks()
            await call.until(lambda: double.sessions and double.sessions[0].responses.running)
            await call.until(lambda: call.runner.state.response)
            await call.begins_to_speak()
            call.microphone.is_silent()
            await call.until(call.quiet)
            assert call.runner.state.items[-1].text == "".join(SAID)
            await call.asks()
            await call.until(lambda: call.runner.state.response)
            assert await call.hangs_up() is EndReason.CALLER_HUNG_UP
        await freed(double)
    first = call.uses("voice")[0]
    assert first.outcome == "cancelled"
