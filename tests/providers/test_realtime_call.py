"""A whole call with a model that hears and speaks: the real engine, and a real socket."""

import asyncio

import pytest
import pytest_asyncio

from calls.domain.audio import CALLER
from calls.domain.errors import EndReason
from calls.domain.events import EndAsked
from calls.domain.items import ItemStatus, Role
from calls.domain.policy import Policy
from calls.engine.intake import Intake
from calls.engine.runner import CallRunner, CallSetup
from calls.ports.tools import CallInfo
from tests.doubles.client import RecordingClient
from tests.doubles.providers.openai_realtime import Says
from tests.doubles.records import MemoryRecords
from tests.providers.realtime_rig import conversation, realtime_rig

pytestmark = pytest.mark.asyncio

FRAME_MS = 20
LOUD = b"\x05\x00" * CALLER.samples(FRAME_MS)
QUIET = bytes(len(LOUD))


class Call:
    """A call whose turns the provider detects."""

    def __init__(self, rig) -> None:
        self.rig = rig
        self.records = MemoryRecords()
        self.runner = CallRunner(
            CallSetup(
                info=CallInfo(call_id="c1", agent="demo", language="en"),
                policy=Policy(first_message="Welcome.", idle_ms=0, max_call_ms=0),
                voice=rig.session(turn_detection="server_vad"),
                records=self.records,
                recording=None,
                tools=(),
                clock=rig.clock,
            )
        )
        self.intake = Intake(
            detector=None, post=self.runner.post, now_ms=self.runner.now_ms, recording=None
        )
        self._position = 0

    async def frames(self, ms: int, pcm: bytes = QUIET) -> None:
        """So much time passes, and the microphone hears this."""
        for _ in range(ms // FRAME_MS):
            await self.rig.clock.advance(FRAME_MS)
            self.intake.take(self._position, pcm)
            self._position += CALLER.samples(FRAME_MS)
        await self.rig.settled()

    async def says(self, text: str) -> None:
        self.rig.will_hear(text)
        await self.frames(800, LOUD)
        await self.frames(600)

    def said(self):
        return [(i.role, i.text, i.status) for i in self.records.items.values()]


@pytest_asyncio.fixture
async def call():
    async with realtime_rig() as rig, asyncio.TaskGroup() as group:
        call = Call(rig)
        group.create_task(call.runner.run())
        await rig.settled()
        call.runner.attach(RecordingClient(rig.clock, call.runner))
        await call.frames(1_000)
        try:
            yield call
        finally:
            call.runner.post(EndAsked(reason=EndReason.STAFF_ENDED))
            await call.rig.clock.advance(4_000)


async def test_the_caller_is_answered_and_interrupts(call):
    call.rig.double.answers.append(Says(*(f"Number {n}. " for n in range(10, 30))))
    await call.says("count to thirty")
    await call.frames(2_000)
    call.rig.will_answer("Good.")
    await call.says("stop")
    await call.frames(1_500)
    welcome, asked, counted, stop, good = call.said()
    assert welcome == (Role.AGENT, "Welcome.", ItemStatus.COMPLETE)
    assert asked == (Role.USER, "count to thirty", ItemStatus.COMPLETE)
    assert counted[2] is ItemStatus.INTERRUPTED
    assert counted[1].startswith("Number 10.")
    assert stop[1] == "stop"
    assert good == (Role.AGENT, "Good.", ItemStatus.COMPLETE)
    (other,) = call.rig.double.sessions
    assert [who for who, _ in conversation(other)] == ["agent", "user", "agent", "user", "agent"]
    heard_ms = call.records.turns[1].heard_ms
    assert other.items[2]["audio_ms"] == heard_ms
    # A tone of 60 ms a character: what is on the record is what was heard.
    assert abs(len(counted[1]) * 60 - heard_ms) <= 600
    assert [event for event in other.sent if event["type"] == "error"] == []


async def test_both_answers_were_begun_before_the_words_were_known(call):
    for text in ("one", "two"):
        await call.says(text)
        await call.frames(3_000)
    (other,) = call.rig.double.sessions
    answers = [
        event
        for event in other.received
        if event["type"] == "response.create" and "conversation" not in event["response"]
    ]
    assert len(answers) == 2
    assert [item[0] for item in call.said()] == [Role.AGENT, *[Role.USER, Role.AGENT] * 2]


async def test_costs_are_put_to_their_turns(call):
    await call.says("what time is it")
    await call.frames(3_000)
    uses = {(use.turn, use.stage): use.outcome for use in call.records.uses.values()}
    assert uses == {(0, "tts"): "ok", (1, "stt"): "ok", (1, "voice"): "ok"}


async def test_the_call_outlives_a_lost_session(call):
    call.rig.double.cut_session(1006)
    await call.frames(600)
    await call.says("still there")
    await call.frames(3_000)
    assert call.said()[1][1] == "still there"
    assert call.said()[2][0] is Role.AGENT
    assert conversation(call.rig.double.sessions[1])[0] == ("agent", "Welcome.")
