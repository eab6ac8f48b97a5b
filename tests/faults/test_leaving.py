"""The caller interrupts, or hangs up, while a provider works: nothing is held on to."""

import asyncio
from typing import Any

import pytest

from calls.domain.errors import EndReason
from calls.domain.events import Stage
from calls.domain.items import ItemStatus
from calls.providers.choice.budget import Budget
from tests.doubles.providers.base import Fault
from tests.doubles.providers.elevenlabs_stt import Hear
from tests.faults.bench import Call, calling, cascade
from tests.faults.leaks import freed, nothing_left
from tests.faults.others import SteadyMind
from tests.faults.providers import (
    ALOUD,
    CHAT,
    FIRST_TEXT,
    FIRST_WORDS,
    RESPONSES,
    SCRIBE,
    SPEECH,
    SPOKEN,
    TRANSCRIPTION,
    VOICE,
    VOICE_HTTP,
    Provider,
)

pytestmark = pytest.mark.usefixtures("fast")

PATIENT = Budget(first_ms=30_000, stall_ms=30_000, total_ms=30_000)
"""What is let go of here is not let go of because its time was up."""

MUTE = Fault(stall_headers=True)


def stall(after: int) -> Fault:
    return Fault(after=after, stall=True)


ANSWERING = [
    (CHAT, "before its answer", MUTE),
    (CHAT, "before its first word", stall(1)),
    (CHAT, "in mid-answer", stall(2)),
    (RESPONSES, "before its answer", MUTE),
    (RESPONSES, "in mid-answer", stall(5)),
    (SPEECH, "before its sound", MUTE),
    (SPEECH, "in mid-sound", stall(1)),
    (VOICE_HTTP, "before its sound", MUTE),
    (VOICE_HTTP, "in mid-sound", stall(2)),
    (VOICE, "in the handshake", MUTE),
    (VOICE, "before its sound", stall(0)),
    (VOICE, "in mid-sound", stall(3)),
    (ALOUD, "in the handshake", MUTE),
    (ALOUD, "before its sound", stall(3)),
    (ALOUD, "in mid-sound", stall(14)),
]
LISTENING = [
    # Here the end of a call waits for the last words, but not for ever.
    (TRANSCRIPTION, "in mid-text", stall(1)),
]


def named(case: Any) -> str:
    return f"{case[0].title} {case[1]}"


def session(provider: Provider, double: Any) -> Any:
    stages = {provider.stage.value: [provider.build(double), provider.spare()]}
    if provider.stage is Stage.TTS:
        stages["llm"] = [SteadyMind(SPOKEN)]
    return cascade(**stages, budget=PATIENT)


async def at_work(call: Call, double: Any, case: Any) -> None:
    """The stand-in has come to where it stalls, and what came before has arrived."""
    provider, where, fault = case
    sent = 0 if fault.stall_headers else fault.after
    await call.until(lambda: double.asked and double.asked[-1].sent == sent)
    if provider.stage is Stage.STT:
        await call.until(lambda: call.runner.state.awaiting)
    elif provider.stage is Stage.TTS or where == "in mid-answer":
        await call.until(lambda: _shown(call))
    else:
        await call.until(lambda: call.runner.state.response)


def _shown(call: Call) -> bool:
    """Whether the caller sees words of the answer."""
    now = call.runner.state.response
    return now is not None and bool(now.segments)


@pytest.mark.asyncio
@pytest.mark.parametrize("case", [*ANSWERING, *LISTENING], ids=named)
async def test_hanging_up_frees_everything_at_once(case: Any) -> None:
    provider, _, fault = case
    double = provider.double()
    async with nothing_left(double):
        await provider.ready(double)
        double.fail(provider.path, fault)
        async with calling(session(provider, double)) as call:
            await call.asks()
            await at_work(call, double, case)
            assert await call.hangs_up() is EndReason.CALLER_HUNG_UP
        await freed(double)
    assert [use.outcome for use in call.uses(provider.stage.value)] == ["cancelled"]


@pytest.mark.asyncio
@pytest.mark.parametrize("case", ANSWERING, ids=named)
async def test_who_interrupts_is_listened_to_at_once(case: Any) -> None:
    provider, where, fault = case
    double = provider.double()
    async with nothing_left(double):
        await provider.ready(double)
        double.fail(provider.path, fault)
        async with calling(session(provider, double)) as call:
            await call.asks()
            await at_work(call, double, case)
            await call.begins_to_speak()
            if provider not in (VOICE, ALOUD):
                await freed(double)
            await call.until(lambda: call.uses(provider.stage.value))
            if provider not in (VOICE, ALOUD):
                call.microphone.is_silent()
                await call.until(call.quiet)
                wanted = FIRST_TEXT if provider.stage is Stage.LLM else SPOKEN
                assert call.runner.state.items[-1].text.split() == wanted.split()
            assert await call.hangs_up() is EndReason.CALLER_HUNG_UP
        await freed(double)
    first = call.uses(provider.stage.value)[0]
    assert first.outcome == "cancelled"
    if provider.stage is Stage.LLM:
        assert first.estimated
        assert first.usage["input_tokens"] > 0
        spoken = where == "in mid-answer"
        said = -(-len(FIRST_WORDS[0]) // 4) if spoken else 0
        assert first.usage["output_tokens"] == said


@pytest.mark.asyncio
async def test_who_speaks_on_before_the_text_is_there_is_understood_twice() -> None:
    double, heard = SCRIBE.double(), asyncio.Event()
    double.hears.extend([Hear("the first", when=heard), Hear("the second")])
    async with nothing_left(double):
        session = cascade(stt=[SCRIBE.build(double)], budget=PATIENT)
        async with calling(session) as call:
            await call.asks()
            await call.until(lambda: double.commits)
            await call.asks()
            heard.set()
            await call.until(call.quiet)
            await call.hangs_up()
    said = [item.text for item in call.records.items.values() if item.role.value == "user"]
    assert said == ["the first", "the second"]
    assert [use.outcome for use in call.uses("stt")] == ["ok", "ok"]
    assert all(item.status is ItemStatus.COMPLETE for item in call.records.items.values())
