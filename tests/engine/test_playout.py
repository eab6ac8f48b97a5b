"""The agent's sound, sent at the pace of the ear: what single reports make of it."""

import pytest

from calls.domain import events as ev
from calls.engine.playout import LEAD_MS, Playout
from calls.ports.client import AudioEnd, AudioFrame
from calls.wire.browser import COUNTED, REPORTING
from tests.doubles.clock import FakeClock
from tests.doubles.records import MemoryRecording
from tests.doubles.voice import milliseconds, ramp

pytestmark = pytest.mark.asyncio


class Bench:
    def __init__(self, *, reports=True):
        self.clock = FakeClock(1_000)
        self.told = []
        self.sent = []
        self.lost = 0
        self.recording = MemoryRecording()
        self.playout = Playout(
            clock=self.clock,
            now_ms=self.clock.now_ms,
            post=self.told.append,
            send=self.sent.append,
            hold=lambda _held: None,
            lost=self._lost,
            recording=self.recording,
        )
        self.playout.release(pace=REPORTING if reports else COUNTED)

    def _lost(self):
        self.lost += 1

    def say(self, length_ms, response_id=1):
        self.playout.push(response_id, ramp(0, length_ms))
        self.playout.finish(response_id)

    def frames(self):
        return [frame for frame in self.sent if isinstance(frame, AudioFrame)]

    def reached_ms(self):
        """How far the sound has been sent."""
        last = self.frames()[-1]
        return last.start_ms + len(milliseconds(last.pcm))

    def recorded(self):
        return [ms for ms in milliseconds(self.recording.laid_out("agent")) if ms >= 0]


async def test_every_frame_lies_where_it_says():
    bench = Bench()
    bench.say(5_000)
    for played_ms in range(0, 5_000, 200):
        bench.playout.played(1, played_ms)
        await bench.clock.advance(200)
    for frame in bench.frames():
        assert milliseconds(frame.pcm)[0] == frame.start_ms
    assert [ms for frame in bench.frames() for ms in milliseconds(frame.pcm)] == list(range(5_000))


async def test_nothing_is_sent_before_a_client_is_there():
    bench = Bench()
    bench.playout.hold()
    bench.say(1_000)
    await bench.clock.advance(1_000)
    assert bench.sent == []
    bench.playout.release(pace=REPORTING)
    assert bench.reached_ms() == pytest.approx(LEAD_MS, abs=60)


async def test_until_it_reports_a_client_gets_no_more_than_the_window():
    bench = Bench()
    bench.say(5_000)
    await bench.clock.advance(2_000)
    assert bench.reached_ms() <= LEAD_MS
    bench.playout.played(1, 100)
    bench.playout.hold()
    bench.playout.release(pace=REPORTING)
    await bench.clock.advance(2_000)
    assert bench.reached_ms() <= 100 + LEAD_MS, "nor does one that has just come back"


async def test_without_news_the_playhead_is_carried_on_for_a_while_only():
    bench = Bench()
    bench.say(10_000)
    bench.playout.played(1, 100)
    await bench.clock.advance(4_000)
    assert bench.reached_ms() == pytest.approx(100 + 2 * LEAD_MS, abs=60)


async def test_a_report_that_is_overtaken_by_a_later_one_changes_nothing():
    bench = Bench()
    bench.say(5_000)
    bench.playout.played(1, 300)
    bench.playout.played(1, 100)
    bench.playout.hold()
    sent = len(bench.sent)
    bench.playout.release(pace=REPORTING)
    assert bench.sent[sent].start_ms == 300
    assert bench.recorded() == list(range(300))


async def test_a_report_after_the_interruption_changes_nothing():
    bench = Bench()
    bench.say(5_000)
    bench.playout.played(1, 200)
    sent = len(bench.sent)
    bench.playout.clear(1)
    bench.playout.played(1, 400)
    await bench.clock.advance(1_000)
    assert len(bench.sent) == sent
    bench.playout.settle(1, 250)
    assert bench.recorded() == list(range(250))


async def test_a_report_of_more_than_there_is_ends_at_the_end():
    bench = Bench()
    bench.say(300)
    bench.playout.played(1, 4_000_000_000)
    assert bench.told[-1] == ev.PlayoutDrained(response_id=1, heard_ms=300)


async def test_reports_of_what_was_never_said_are_ignored():
    bench = Bench()
    bench.playout.played(7, 100)
    bench.playout.clear(7)
    bench.playout.settle(7, 100)
    assert (bench.told, bench.sent) == ([], [])


@pytest.mark.parametrize("missing_ms", [0, 5])
async def test_a_playhead_rounded_down_has_heard_it_all(missing_ms):
    bench = Bench()
    bench.say(300)
    bench.playout.played(1, 300 - missing_ms - 1)
    bench.playout.played(1, 300 - missing_ms)
    drained = [event for event in bench.told if isinstance(event, ev.PlayoutDrained)]
    assert drained == [ev.PlayoutDrained(response_id=1, heard_ms=300)]


async def test_what_is_not_heard_does_not_drain():
    bench = Bench()
    bench.say(300)
    bench.playout.played(1, 290)
    await bench.clock.advance(3_000)
    assert not [event for event in bench.told if isinstance(event, ev.PlayoutDrained)]
    assert [end for end in bench.sent if isinstance(end, AudioEnd)] == [AudioEnd(1, 300)]


async def test_the_first_sound_is_told_once_however_often_the_client_comes_back():
    bench = Bench()
    bench.say(1_000)
    bench.playout.hold()
    bench.playout.release(pace=REPORTING)
    assert bench.told.count(ev.AudioSent(response_id=1)) == 1


async def test_a_short_outage_shifts_the_recording_as_far_as_the_sound():
    bench = Bench()
    bench.say(2_000)
    await bench.clock.advance(200)
    bench.playout.played(1, 200)
    bench.playout.hold()
    await bench.clock.advance(100)
    bench.playout.release(pace=REPORTING)
    await bench.clock.advance(200)
    bench.playout.played(1, 400)
    starts = [piece.start_ms for piece in bench.recording.pieces["agent"]]
    assert starts == [1_000, 1_300]


async def test_while_the_client_is_away_its_time_stands_still():
    bench = Bench(reports=False)
    bench.say(5_000)
    await bench.clock.advance(600)
    bench.playout.hold()
    await bench.clock.advance(60_000)
    sent = len(bench.sent)
    bench.playout.release(pace=COUNTED)
    assert bench.sent[sent].start_ms == pytest.approx(600, abs=60)


async def test_a_client_that_takes_over_from_one_without_an_ear_goes_on_from_its_time():
    bench = Bench(reports=False)
    bench.say(5_000)
    await bench.clock.advance(630)
    sent = len(bench.sent)
    bench.playout.release(pace=REPORTING)
    assert bench.sent[sent].start_ms == 630


async def test_a_closed_playout_is_quiet():
    bench = Bench()
    bench.say(5_000)
    bench.playout.played(1, 100)
    sent = len(bench.sent)
    bench.playout.close()
    await bench.clock.advance(10_000)
    assert len(bench.sent) == sent
    assert bench.lost == 0
