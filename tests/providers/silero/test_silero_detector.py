"""The detector: order, batches, isolation, and what happens when something breaks."""

import asyncio
import logging

import numpy as np
import pytest

from calls.audio.gate import HANG_WINDOWS
from calls.providers.silero.detector import BATCH_WINDOWS, EAGER_CALLS, SileroDetector
from calls.providers.silero.hearing import QUEUED_WINDOWS, WARM_WINDOWS
from tests.audio.sounds import silence, tone, utterance, white
from tests.providers.silero.listeners import (
    CountingNetwork,
    Listener,
    ScriptedNetwork,
    windows_of,
)

SILENT = windows_of(silence(32))[0]
LOUD = windows_of(tone(440, 32, dbfs=-20))[0]
MANY = EAGER_CALLS + 1


def numbered(number: int) -> bytes:
    """A loud window that a scripted network can recognise."""
    return np.full(512, 1_000 + number, "<i2").tobytes()


def number_of(block: bytes) -> float:
    return float(np.frombuffer(block, "<i2")[-1] - 1_000) / 1_000


async def passes(count: int = 2) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def say_in_turn(listener, windows) -> None:
    for window in windows:
        listener.say(window)
        await listener.hear()


@pytest.mark.asyncio
async def test_one_answer_a_window_in_order():
    listener = Listener(SileroDetector(ScriptedNetwork(number_of)))
    listener.say(*(numbered(n) for n in range(40)))
    await listener.hear()

    assert listener.heard == pytest.approx([n / 1_000 for n in range(40)])


@pytest.mark.asyncio
async def test_an_answer_never_comes_from_within_the_question():
    listener = Listener(SileroDetector(ScriptedNetwork()))
    listener.say(LOUD, SILENT)

    assert listener.heard == []


@pytest.mark.asyncio
async def test_a_few_calls_wait_for_nobody():
    detector = SileroDetector(ScriptedNetwork(), collect_ms=60_000)
    listeners = [Listener(detector) for _ in range(EAGER_CALLS)]
    for listener in listeners:
        listener.say(LOUD)
    await passes()

    assert [len(listener.heard) for listener in listeners] == [1] * EAGER_CALLS


@pytest.mark.asyncio
async def test_many_calls_are_judged_together():
    network = ScriptedNetwork()
    detector = SileroDetector(network, collect_ms=1)
    listeners = [Listener(detector) for _ in range(MANY)]
    for listener in listeners:
        listener.say(LOUD)
    await passes()
    network.batches.clear()  # before the last of them spoke up, they were few
    for listener in listeners:
        listener.say(LOUD)
        await passes()

    assert network.batches == []

    for listener in listeners:
        await listener.hear()

    assert network.batches == [MANY]


@pytest.mark.asyncio
async def test_who_speaks_among_silent_calls_does_not_wait():
    detector = SileroDetector(ScriptedNetwork(lambda _: 0.0), collect_ms=1)
    silent = [Listener(detector) for _ in range(MANY)]
    for listener in silent:
        listener.say(*[SILENT] * (HANG_WINDOWS + 1))
    for listener in silent:
        await listener.hear()
    detector._collect_ms = 60_000
    silent[0].say(SILENT)
    await passes()
    silent[1].say(LOUD)
    await passes(4)

    assert len(silent[1].heard) == silent[1].submitted


@pytest.mark.asyncio
async def test_batches_are_bounded_and_the_loop_turns_between_them():
    network = ScriptedNetwork()
    detector = SileroDetector(network, collect_ms=1)
    listeners = [Listener(detector) for _ in range(2 * BATCH_WINDOWS + 1)]
    for listener in listeners:
        listener.say(LOUD)
    for listener in listeners:
        await listener.hear()

    assert network.batches == [BATCH_WINDOWS, BATCH_WINDOWS, 1]


@pytest.mark.asyncio
async def test_a_batch_holds_one_window_of_a_call():
    network = ScriptedNetwork()
    listener = Listener(SileroDetector(network))
    listener.say(LOUD, LOUD, LOUD)
    await listener.hear()

    assert network.batches == [1, 1, 1]


@pytest.mark.asyncio
async def test_calls_do_not_leak_into_one_another(silero):
    together = SileroDetector(silero, collect_ms=1)
    sounds = [utterance("hello"), utterance("she-sells"), white(2_000, -30), silence(2_000)]
    listeners = [Listener(together) for _ in sounds * 2]
    for listener, sound in zip(listeners, sounds * 2, strict=True):
        listener.say(*windows_of(sound))
    for listener in listeners:
        await listener.hear()
    for listener, sound in zip(listeners, sounds * 2, strict=True):
        alone = Listener(SileroDetector(silero))
        alone.say(*windows_of(sound))
        await alone.hear()

        assert listener.heard == pytest.approx(alone.heard, abs=1e-4)


@pytest.mark.asyncio
async def test_silence_does_not_reach_the_network(silero):
    network = CountingNetwork(silero)
    listener = Listener(SileroDetector(network))
    await say_in_turn(listener, [SILENT] * 300)

    assert network.blocks == HANG_WINDOWS
    assert listener.heard[HANG_WINDOWS:] == [0.0] * (300 - HANG_WINDOWS)


@pytest.mark.asyncio
async def test_when_the_gate_opens_the_network_sees_what_came_just_before():
    blocks = []
    network = ScriptedNetwork(lambda block: blocks.append(block) or 0.0)
    listener = Listener(SileroDetector(network))
    await say_in_turn(listener, [SILENT] * (HANG_WINDOWS + 20))
    blocks.clear()
    listener.say(LOUD)
    await listener.hear()

    assert blocks == [bytes(128) + SILENT] * WARM_WINDOWS + [bytes(128) + LOUD]


@pytest.mark.asyncio
async def test_each_window_follows_the_end_of_the_one_before():
    blocks = []
    listener = Listener(SileroDetector(ScriptedNetwork(lambda block: blocks.append(block) or 0.9)))
    windows = windows_of(utterance("hello"))
    listener.say(*windows[:5])
    await listener.hear()

    assert blocks == [
        before[-128:] + window
        for before, window in zip([bytes(1024), *windows], windows[:5], strict=False)
    ]


@pytest.mark.asyncio
async def test_a_closed_call_hears_no_more_and_keeps_nothing():
    network = ScriptedNetwork()
    detector = SileroDetector(network)
    leaving, staying = Listener(detector), Listener(detector)
    for listener in (leaving, staying):
        listener.say(LOUD, LOUD)
    leaving.detection.close()
    leaving.detection.close()
    leaving.detection.submit(LOUD)
    await staying.hear()

    assert leaving.heard == []
    assert network.batches == [1, 1]
    assert detector._hearings == {staying.detection}


@pytest.mark.asyncio
async def test_a_call_may_close_while_it_is_being_told():
    detector = SileroDetector(ScriptedNetwork())
    heard = []
    detection = detector.open(lambda probability: (heard.append(probability), detection.close()))
    for _ in range(3):
        detection.submit(LOUD)
    await passes(5)

    assert len(heard) == 1
    assert not detector._hearings


@pytest.mark.asyncio
@pytest.mark.parametrize("broken", [False, True], ids=["judged", "guessed"])
async def test_a_call_may_close_while_the_batch_it_is_in_is_told(broken):
    network = ScriptedNetwork()
    network.broken = broken
    detector = SileroDetector(network)
    first = detector.open(lambda _: other.detection.close())
    other = Listener(detector)
    first.submit(LOUD)
    other.say(LOUD, LOUD)
    await passes(5)

    assert other.heard == []


@pytest.mark.asyncio
async def test_a_closed_call_is_not_told_of_silence_either():
    listener = Listener(SileroDetector(ScriptedNetwork(lambda _: 0.0)))
    await say_in_turn(listener, [SILENT] * (HANG_WINDOWS + 1))
    listener.say(SILENT)
    listener.detection.close()
    await passes(5)

    assert len(listener.heard) == HANG_WINDOWS + 1


@pytest.mark.asyncio
async def test_a_call_that_fails_to_listen_fails_alone(caplog):
    detector = SileroDetector(ScriptedNetwork())
    failing = detector.open(lambda _: 1 / 0)
    sound = Listener(detector)
    for _ in range(3):
        failing.submit(LOUD)
        sound.say(LOUD)
    await sound.hear()

    assert sound.heard == pytest.approx([0.9] * 3)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert detector._hearings == {sound.detection}


@pytest.mark.asyncio
async def test_when_the_network_fails_the_level_decides(caplog):
    network = ScriptedNetwork(lambda _: 0.0)
    detector = SileroDetector(network)
    listener = Listener(detector)
    room = windows_of(white(3_000, -60))
    await say_in_turn(listener, room)
    network.broken = True
    before = len(listener.heard)
    await say_in_turn(listener, room[:10] + windows_of(utterance("hello")) + room[:30])
    heard = listener.heard[before:]

    assert detector.degraded
    assert set(heard[:10]) == {0.0}
    assert heard[12:20] == [1.0] * 8
    assert set(heard[-10:]) == {0.0}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.asyncio
async def test_when_the_network_fails_there_is_still_one_answer_a_window():
    network = ScriptedNetwork(lambda _: 0.0)
    listener = Listener(SileroDetector(network))
    await say_in_turn(listener, [SILENT] * (HANG_WINDOWS + 5))
    network.broken = True
    before = len(listener.heard)
    listener.say(LOUD)
    await listener.hear()
    await passes(5)

    assert listener.heard[before:] == [1.0]


@pytest.mark.asyncio
async def test_the_network_is_used_again_as_soon_as_it_works():
    network = ScriptedNetwork(lambda _: 0.7)
    network.broken = True
    detector = SileroDetector(network)
    listener = Listener(detector)
    listener.say(LOUD)
    await listener.hear()
    network.broken = False
    listener.say(LOUD)
    await listener.hear()

    assert listener.heard == [1.0, pytest.approx(0.7)]
    assert not detector.degraded


@pytest.mark.asyncio
async def test_the_memory_of_a_call_follows_its_windows():
    listener = Listener(SileroDetector(ScriptedNetwork()))
    listener.say(LOUD, LOUD, LOUD)
    await listener.hear()

    assert set(listener.detection.state.flat) == {3.0}
    assert listener.detection.state.base is None, "a view would keep the whole batch alive"


@pytest.mark.asyncio
async def test_more_than_a_call_may_queue_goes_unjudged():
    network = ScriptedNetwork()
    listener = Listener(SileroDetector(network))
    listener.say(LOUD)
    await listener.hear()
    listener.say(*[LOUD] * (QUEUED_WINDOWS + 20))
    await listener.hear()

    assert len(network.batches) == 1 + QUEUED_WINDOWS
    assert listener.heard == [0.9] * (1 + QUEUED_WINDOWS + 20), "as likely as the last that was"


@pytest.mark.asyncio
@pytest.mark.parametrize("size_bytes", [0, 640, 1_023, 1_026])
async def test_windows_of_another_size_are_refused(size_bytes):
    listener = Listener(SileroDetector(ScriptedNetwork()))

    with pytest.raises(ValueError, match="1024 bytes"):
        listener.say(bytes(size_bytes))


def test_it_goes_on_in_another_event_loop():
    detector = SileroDetector(ScriptedNetwork(), collect_ms=60_000)
    listeners = [Listener(detector) for _ in range(MANY)]

    async def leave_something_behind():
        for _ in range(2):
            for listener in listeners:
                listener.say(LOUD)
            await passes()

    async def listen():
        for listener in listeners:
            listener.say(LOUD)
        for listener in listeners:
            await listener.hear()

    asyncio.run(leave_something_behind())
    assert [len(listener.heard) for listener in listeners] == [1] * MANY
    detector._collect_ms = 1
    asyncio.run(listen())

    assert [len(listener.heard) for listener in listeners] == [3] * MANY
