"""A whole call of the real engine, on the real record: words, waits and sound agree."""

import asyncio

import numpy as np
import pytest

from calls.domain.errors import EndReason
from calls.domain.events import HungUp, SpeechStarted, TextTyped
from calls.engine.runner import CallRunner, CallSetup
from calls.models import Conversation
from calls.store.database import in_database
from calls.store.recordings import recording_open, recordings_close
from calls.store.reviews import Review, review
from calls.store.tracks import RIGHT
from tests.doubles.client import RecordingClient
from tests.doubles.clock import FakeClock
from tests.doubles.voice import ScriptedVoice, Words
from tests.engine.bench import INFO, policy
from tests.store.factories import opened

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]

ANSWER = "It is four o'clock, and the sun is shining over the hills."


def reviewed() -> Review:
    return review(Conversation.objects.select_related("recording", "summary").get())


async def test_what_was_cut_off_is_neither_said_nor_heard():
    clock, voice = FakeClock(), ScriptedVoice()
    voice.answers.append([Words(ANSWER, 3_000)])
    runner = CallRunner(
        CallSetup(
            info=INFO,
            policy=policy(),
            voice=voice,
            records=await opened(INFO.call_id),
            recording=recording_open(INFO.call_id),
            tools=(),
            clock=clock,
        )
    )
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(runner.run())
        await clock.settle()
        runner.attach(RecordingClient(clock, runner))
        await clock.settle()
        await clock.advance(1_000)
        runner.post(TextTyped(text="What time is it?"))
        await clock.advance(1_500)
        runner.post(SpeechStarted())
        await clock.advance(500)
        runner.post(HungUp())
        while not running.done():
            await clock.advance(10)
            await asyncio.sleep(0.005)
    assert running.result() is EndReason.CALLER_HUNG_UP

    seen = await in_database(reviewed)
    question, answer = (entry.item for entry in seen.entries)
    assert question.text == "What time is it?"
    assert answer.text + answer.unheard == ANSWER
    assert 0 < len(answer.text) < len(ANSWER)
    assert answer.status == "interrupted"
    assert seen.conversation.end_reason == "caller_hung_up"
    assert seen.conversation.interruption_count == 1
    assert seen.summary.state == "pending"

    assert seen.recording.state == "complete"
    await in_database(recordings_close)
    both = np.frombuffer(seen.recording.file.read_bytes()[44:], "<i2").reshape(-1, 2)
    heard = np.flatnonzero(both[:, RIGHT]) // 16
    assert heard[0] == pytest.approx(answer.started_ms, abs=20)
    assert heard[-1] == pytest.approx(answer.ended_ms, abs=20)
