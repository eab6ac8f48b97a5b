"""How each kind of client gets the agent's sound, and what is known of what it heard."""

import pytest

from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.domain.items import ItemStatus, Role
from calls.engine.playout import FROM_END_MS, HIGH_WATER_MS, LOW_WATER_MS, Playout
from calls.ports.client import AudioEnd, AudioFrame, Pace, Playback
from tests.doubles.clock import FakeClock
from tests.doubles.records import MemoryRecording
from tests.doubles.voice import Wait, Words, milliseconds, ramp
from tests.engine.bench import call, policy

pytestmark = pytest.mark.asyncio

BURST = Pace(playback=Playback.ASSUMED, lead_ms=None, frame_ms=100)
WHOLE = Pace(playback=Playback.ASSUMED, lead_ms=None, frame_ms=100, from_end=True)
STEADY = Pace(playback=Playback.PACED, lead_ms=160, frame_ms=40)


class Bench:
    """A playout, when what was sent and told, and whether the voice is held."""

    def __init__(self, pace):
        self.clock = FakeClock(10_000)
        self.told = []
        self.sent = []
        self.held = False
        self.recording = MemoryRecording()
        self.playout = Playout(
            clock=self.clock,
            now_ms=self.clock.now_ms,
            post=lambda event: self.told.append((self.now_ms(), event)),
            send=lambda message: self.sent.append((self.now_ms(), message)),
            hold=self._hold,
            lost=lambda: pytest.fail("nobody is lost who need not report"),
            recording=self.recording,
        )
        self.playout.release(pace=pace)

    def _hold(self, held):
        self.held = held

    def now_ms(self):
        return self.clock.now_ms() - 10_000

    def say(self, length_ms, response_id=1, *, start_ms=0):
        self.playout.push(response_id, ramp(start_ms, length_ms))

    def frames(self, response_id=1):
        frames = [(at, f) for at, f in self.sent if isinstance(f, AudioFrame)]
        return [(at, f) for at, f in frames if f.response_id == response_id]

    def sound(self, response_id=1):
        return [ms for _, frame in self.frames(response_id) for ms in milliseconds(frame.pcm)]

    def when(self, kind, response_id=1):
        return [
            at
            for at, what in (*self.told, *self.sent)
            if isinstance(what, kind) and what.response_id == response_id
        ]

    def cut_at(self, response_id=1):
        self.playout.clear(response_id)
        return self.told[-1][1].played_ms


# Sent as it is made


async def test_what_is_made_is_sent_at_once_in_frames_that_are_not_too_long():
    bench = Bench(BURST)
    bench.say(1_050)
    assert {at for at, _ in bench.frames()} == {0}
    assert bench.sound() == list(range(1_050))
    assert [len(milliseconds(f.pcm)) for _, f in bench.frames()] == [100] * 10 + [50]
    bench.playout.finish(1)
    assert bench.when(AudioEnd) == [0]


async def test_it_is_heard_at_even_pace_from_the_first_sound_on():
    bench = Bench(BURST)
    bench.say(2_000)
    bench.playout.finish(1)
    await bench.clock.advance(1_999)
    assert bench.when(ev.PlayoutDrained) == []
    await bench.clock.advance(1)
    assert bench.when(ev.PlayoutDrained) == [2_000], "to the millisecond"
    played = [event.played_ms for at, event in bench.told if isinstance(event, ev.Played)]
    assert played == sorted(played)
    assert len(played) >= 9, "now and again it is told how far it is"


@pytest.mark.parametrize("after_ms", [0, 333, 1_500])
async def test_an_interruption_finds_the_ear_where_the_clock_says(after_ms):
    bench = Bench(BURST)
    bench.say(2_000)
    await bench.clock.advance(after_ms)
    assert bench.cut_at() == after_ms


async def test_an_ear_that_ran_dry_goes_on_from_the_next_sound():
    bench = Bench(BURST)
    bench.say(500)
    await bench.clock.advance(3_000)
    bench.say(500, start_ms=500)
    await bench.clock.advance(200)
    assert bench.cut_at() == 700


async def test_the_voice_is_held_far_ahead_of_an_ear_that_is_only_assumed():
    bench = Bench(BURST)
    bench.say(HIGH_WATER_MS)
    assert not bench.held
    bench.say(1_000, start_ms=HIGH_WATER_MS)
    assert bench.held
    await bench.clock.advance(HIGH_WATER_MS + 1_000 - LOW_WATER_MS - 300)
    assert bench.held
    await bench.clock.advance(600)
    assert not bench.held


# Heard from its end on


async def test_a_client_that_waits_for_the_end_has_heard_nothing_before():
    bench = Bench(WHOLE)
    bench.say(2_000)
    await bench.clock.advance(5_000)
    assert bench.sound() == list(range(2_000))
    assert bench.when(ev.Played) == []
    assert bench.cut_at() == 0


async def test_from_the_end_on_it_is_heard_at_even_pace():
    bench = Bench(WHOLE)
    bench.say(1_000)
    await bench.clock.advance(3_000)
    bench.say(1_000, start_ms=1_000)
    bench.playout.finish(1)
    assert bench.when(AudioEnd) == [3_000]
    await bench.clock.advance(2_000)
    assert bench.when(ev.PlayoutDrained) == [5_000]
    placed = bench.recording.pieces["agent"]
    assert placed[0].start_ms == 13_000


async def test_the_voice_is_not_held_while_nothing_is_heard():
    bench = Bench(WHOLE)
    bench.say(HIGH_WATER_MS * 3)
    await bench.clock.advance(10_000)
    assert not bench.held
    bench.playout.finish(1)
    await bench.clock.advance(200)
    assert bench.held, "now it is, until it has been heard for the most part"
    await bench.clock.advance(HIGH_WATER_MS * 3 - LOW_WATER_MS)
    assert not bench.held


async def test_an_endless_answer_is_made_no_faster_than_it_is_heard():
    bench = Bench(WHOLE)
    for start_ms in range(0, FROM_END_MS, 1_000):
        bench.say(1_000, start_ms=start_ms)
    assert bench.held
    await bench.clock.advance(FROM_END_MS - LOW_WATER_MS + 200)
    assert not bench.held
    bench.say(100, start_ms=FROM_END_MS)
    bench.playout.finish(1)
    await bench.clock.advance(LOW_WATER_MS)
    assert bench.when(ev.PlayoutDrained) == [FROM_END_MS + 100]


# At the pace of the ear


async def test_small_frames_leave_steadily_no_further_ahead_than_is_wanted():
    bench = Bench(STEADY)
    bench.say(2_000)
    bench.playout.finish(1)
    await bench.clock.advance(3_000)
    assert bench.sound() == list(range(2_000))
    assert {len(milliseconds(frame.pcm)) for _, frame in bench.frames()} == {40}
    assert max(f.start_ms + 40 - at for at, f in bench.frames()) == 160
    late = bench.frames()[4:]
    assert [at for at, _ in late] == [late[0][0] + 40 * n for n in range(len(late))]
    assert bench.when(ev.PlayoutDrained) == [2_000]


async def test_sound_that_comes_in_odd_pieces_leaves_in_whole_frames_while_there_is_time():
    bench = Bench(STEADY)
    for n in range(20):
        bench.say(90, start_ms=90 * n)
        await bench.clock.advance(60)
    bench.playout.finish(1)
    await bench.clock.advance(1_000)
    assert bench.sound() == list(range(1_800))
    lengths = [len(milliseconds(frame.pcm)) for _, frame in bench.frames()]
    assert sum(length != 40 for length in lengths) <= 2


@pytest.mark.parametrize("lead_ms", [10, 40])
async def test_a_lead_no_longer_than_a_frame_does_not_stop_the_sound(lead_ms):
    bench = Bench(Pace(playback=Playback.PACED, lead_ms=lead_ms, frame_ms=40))
    bench.say(200)
    bench.playout.finish(1)
    await bench.clock.advance(400)
    assert bench.sound() == list(range(200))
    assert bench.when(ev.PlayoutDrained)


# Settled before it was heard


@pytest.mark.parametrize("pace", [BURST, STEADY])
async def test_what_counts_as_heard_before_its_time_keeps_the_ear_busy(pace):
    bench = Bench(pace)
    bench.say(1_000)
    bench.playout.finish(1)
    await bench.clock.advance(400)
    bench.playout.settle(1, 1_000)
    assert bench.sound(1) == list(range(1_000)), "all of it is sent"
    assert len(bench.when(AudioEnd)) == 1
    bench.say(500, response_id=2)
    bench.playout.finish(2)
    await bench.clock.advance(600)
    assert bench.when(ev.Played, 2) == []
    await bench.clock.advance(499)
    assert bench.when(ev.PlayoutDrained, 2) == []
    await bench.clock.advance(60)
    assert bench.when(ev.PlayoutDrained, 2)[0] == pytest.approx(1_500, abs=5)
    laid = milliseconds(bench.recording.laid_out("agent")[AGENT.bytes(10_000) :])
    assert laid[:1_000] == list(range(1_000))
    assert laid[1_000:1_500] == list(range(500)), "in the recording too"


async def test_an_interruption_of_one_that_waits_for_the_ear_finds_it_unheard():
    bench = Bench(BURST)
    bench.say(1_000)
    bench.playout.finish(1)
    bench.playout.settle(1, 1_000)
    bench.say(500, response_id=2)
    await bench.clock.advance(900)
    assert bench.cut_at(2) == 0
    bench.playout.settle(2, 0)
    bench.say(500, response_id=3)
    await bench.clock.advance(200)
    assert bench.cut_at(3) == 200, "silenced, the ear is free at once"


async def test_an_interruption_before_any_sound_of_it_frees_the_ear_as_well():
    bench = Bench(BURST)
    bench.say(1_000)
    bench.playout.finish(1)
    bench.playout.settle(1, 1_000)
    bench.playout.clear(2)
    bench.say(500, response_id=3)
    await bench.clock.advance(200)
    assert bench.cut_at(3) == 200


async def test_a_client_that_waits_for_the_end_waits_for_its_ear_too():
    bench = Bench(WHOLE)
    bench.say(1_000)
    bench.playout.finish(1)
    bench.playout.settle(1, 1_000)
    bench.say(500, response_id=2)
    bench.playout.finish(2)
    await bench.clock.advance(1_000)
    assert bench.when(ev.Played, 2) == []
    await bench.clock.advance(500)
    assert bench.when(ev.PlayoutDrained, 2) == [1_500]


async def test_what_was_heard_in_time_keeps_nobody_waiting():
    bench = Bench(BURST)
    bench.say(1_000)
    bench.playout.finish(1)
    await bench.clock.advance(1_000)
    bench.playout.settle(1, 1_000)
    bench.say(500, response_id=2)
    await bench.clock.advance(100)
    assert bench.cut_at(2) == 100


# Whole calls


@pytest.mark.parametrize("pace", [BURST, WHOLE, STEADY])
async def test_a_greeting_is_heard_and_on_the_record_whatever_the_pace(pace):
    async with call(policy(first_message="Hello there.")) as bench:
        client = await bench.attach(pace=pace)
        await bench.clock.advance(399)
        assert client.phases()[-1] == "speaking"
        await bench.clock.advance(1)
        assert client.phases()[-1] == "listening"
        assert client.sound(1) == list(range(400))
        item = bench.records.items[1]
        assert (item.text, item.status, item.ended_ms - item.started_ms) == (
            "Hello there.",
            ItemStatus.COMPLETE,
            400,
        )


@pytest.mark.parametrize(("pace", "heard"), [(BURST, "One. "), (WHOLE, ""), (STEADY, "One. ")])
async def test_an_interrupted_answer_is_cut_where_the_ear_was(pace, heard):
    async with call() as bench:
        client = await bench.attach(pace=pace)
        wait = Wait()
        bench.voice.answers.append([Words("One. ", 500), Words("Two.", 500), wait])
        bench.runner.post(ev.TextTyped(text="Count."))
        await bench.clock.advance(600)
        await bench.microphone.speaks(200)
        await bench.clock.settle()
        agent = [item for item in bench.records.items.values() if item.role is Role.AGENT]
        assert [(item.text, item.unheard) for item in agent] == [
            (heard, "One. Two."[len(heard) :]),
        ]
        assert client.of(AudioEnd) == []


async def test_answers_asked_for_one_after_the_other_are_heard_one_after_the_other():
    async with call() as bench:
        client = await bench.attach(pace=BURST)
        bench.voice.answers.extend([[Words("One.", 1_000)], [Words("Two.", 1_000)]])
        await bench.clock.advance(50)
        bench.runner.post(ev.AnswerAsked())
        await bench.clock.advance(100)
        bench.runner.post(ev.AnswerAsked())
        await bench.clock.advance(1_000)
        assert client.sound(2) == list(range(1_000)), "sent at once"
        await bench.clock.advance(899)
        assert client.phases()[-1] == "speaking"
        await bench.clock.advance(2)
        assert client.phases()[-1] == "listening"
        first, second = bench.records.items.values()
        assert (first.text, second.text) == ("One.", "Two.")
        assert second.started_ms == pytest.approx(first.started_ms + 1_000, abs=5)
