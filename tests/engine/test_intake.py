"""The caller's microphone: by position, by time, and by what a detector makes of it."""

import itertools
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calls.domain import events as ev
from calls.domain.audio import CALLER
from calls.engine.intake import ASKED_WINDOWS, PRE_ROLL_MS, Intake
from tests.doubles.clock import FakeClock
from tests.doubles.detector import WINDOW_MS, ScriptedDetector, loud
from tests.doubles.records import MemoryRecording
from tests.engine.bench import FRAME_MS, Microphone, caller_milliseconds, caller_sound

pytestmark = pytest.mark.asyncio

MS = CALLER.samples(1)


class Bench:
    """An intake, and what it told the call; `listened` is what the call makes of it."""

    def __init__(self, *, detected=True):
        self.clock = FakeClock()
        self.began_ms = self.clock.now_ms()
        self.later_ms = 0
        self.told = []
        self.listened = False
        self.deaf = False
        self.detector = ScriptedDetector()
        self.recording = MemoryRecording()
        self.intake = Intake(
            detector=self.detector if detected else None,
            post=self._post,
            now_ms=self.now_ms,
            recording=self.recording,
        )
        self.intake.hand_to(lambda: self.listened)
        self.microphone = Microphone(self.clock, self.intake)

    def _post(self, event):
        self.told.append(event)
        if isinstance(event, ev.SpeechStarted | ev.TalkStarted) and not self.deaf:
            self.listened = True
        if isinstance(event, ev.TalkStopped):
            self.listened = False

    def kinds(self):
        return [type(event) for event in self.told if not isinstance(event, ev.MicAudio)]

    def sound(self):
        return b"".join(event.pcm for event in self.told if isinstance(event, ev.MicAudio))

    def said(self):
        """Which milliseconds of speech were handed on, in order."""
        return [ms for ms in caller_milliseconds(self.sound()) if ms >= 0]

    def recorded(self):
        return self.recording.laid_out("caller")

    def now_ms(self):
        return self.clock.now_ms() - self.began_ms + self.later_ms


# Speech and what belongs to it


async def test_speech_comes_with_the_pre_roll_first_and_nothing_twice():
    bench = Bench()
    await bench.microphone.is_silent(1_000)
    await bench.microphone.speaks(960)
    await bench.microphone.is_silent(400)
    assert bench.kinds() == [ev.SpeechStarted, ev.SpeechStopped]
    assert type(bench.told[0]) is ev.SpeechStarted, "sound follows what announces it"
    handed = caller_milliseconds(bench.sound())
    onset = handed.index(0)
    assert handed[:onset] == [-1] * onset, "the room before the speech"
    certain_after_ms = 2 * WINDOW_MS
    assert PRE_ROLL_MS - certain_after_ms <= onset <= PRE_ROLL_MS
    assert bench.said() == list(range(960))


async def test_the_beginning_of_speech_is_told_with_the_time_of_the_first_speech():
    bench = Bench()
    await bench.microphone.is_silent(500)
    began_ms = bench.now_ms()
    await bench.microphone.speaks(640)
    (started,) = [event for event in bench.told if isinstance(event, ev.SpeechStarted)]
    assert started.first_speech_ms == pytest.approx(began_ms, abs=WINDOW_MS)


async def test_the_end_of_speech_is_told_with_the_time_of_the_last_speech():
    bench = Bench()
    await bench.microphone.is_silent(500)
    await bench.microphone.speaks(640)
    ended_ms = bench.now_ms()
    await bench.microphone.is_silent(600)
    (stopped,) = [event for event in bench.told if isinstance(event, ev.SpeechStopped)]
    assert stopped.last_speech_ms == pytest.approx(ended_ms, abs=WINDOW_MS)


async def test_a_pause_within_a_turn_is_handed_on_once_and_in_order():
    bench = Bench()
    await bench.microphone.speaks(640)
    await bench.microphone.is_silent(500)
    await bench.microphone.speaks(640)
    await bench.microphone.is_silent(500)
    assert bench.kinds() == [ev.SpeechStarted, ev.SpeechStopped] * 2
    handed = caller_milliseconds(bench.sound())
    first, last = handed.index(0), handed.index(1_279)
    assert handed[first : last + 1] == [*range(640), *[-1] * 500, *range(640, 1_280)]


async def test_what_nobody_listened_to_becomes_the_beginning_of_the_next_utterance():
    bench = Bench()
    await bench.microphone.speaks(640)
    await bench.microphone.is_silent(320)
    bench.listened = False  # the turn is over
    before = len(bench.sound())
    await bench.microphone.is_silent(480)
    assert len(bench.sound()) == before
    await bench.microphone.speaks(640)
    after = caller_milliseconds(bench.sound()[before:])
    onset = after.index(640)
    assert PRE_ROLL_MS - 3 * WINDOW_MS <= onset <= PRE_ROLL_MS
    assert [ms for ms in after if ms >= 0][:500] == list(range(640, 1_140))


async def test_a_call_that_listens_late_gets_what_came_just_before_and_all_that_follows():
    bench = Bench()
    bench.deaf = True
    await bench.microphone.speaks(1_000)
    assert bench.said() == []
    bench.deaf, bench.listened = False, True
    await bench.microphone.speaks(1_000)
    await bench.microphone.is_silent(320)
    await bench.microphone.speaks(320)
    said = bench.said()
    assert said == list(range(said[0], said[-1] + 1)), "in order, and nothing twice"
    assert said[0] == pytest.approx(1_000 - PRE_ROLL_MS, abs=WINDOW_MS)
    assert said[-1] >= 2_320 - WINDOW_MS


async def test_a_long_speech_is_handed_on_whole():
    bench = Bench()
    await bench.microphone.speaks(6_000)
    await bench.microphone.is_silent(400)
    assert bench.kinds() == [ev.SpeechStarted, ev.SpeechStopped]
    assert bench.said() == list(range(6_000))


async def test_a_silence_that_lasts_is_not_handed_on_for_ever():
    bench = Bench()
    await bench.microphone.speaks(640)
    await bench.microphone.is_silent(10_000)
    assert len(bench.sound()) < CALLER.bytes(640 + 3_000)


async def test_a_burst_that_arrives_at_once_is_heard_as_it_was_spoken():
    """What a page kept during an outage: more than the detector takes at a time."""
    bench = Bench()
    await bench.microphone.is_silent(500)
    await bench.clock.advance(6_000)
    burst = bytes(CALLER.bytes(1_000)) + caller_sound(0, 1_500) + bytes(CALLER.bytes(3_500))
    for at in range(0, len(burst), 640):
        bench.intake.take(bench.microphone.position + at // 2, burst[at : at + 640])
    assert bench.detector.most_waiting <= ASKED_WINDOWS
    await bench.clock.settle()
    assert bench.kinds() == [ev.SpeechStarted, ev.SpeechStopped]
    assert bench.said() == list(range(1_500))
    stopped = next(event for event in bench.told if isinstance(event, ev.SpeechStopped))
    # It ended 3.5 s before the burst did, whenever the detector came round to it.
    assert stopped.last_speech_ms == pytest.approx(bench.now_ms() - 3_500, abs=2 * WINDOW_MS)


async def test_a_slow_detector_changes_nothing_but_the_moment():
    bench = Bench()
    bench.detector.held = True
    await bench.microphone.is_silent(320)
    await bench.microphone.speaks(640)
    await bench.microphone.is_silent(640)
    assert bench.told == []
    bench.detector.let_go()
    await bench.clock.settle()
    assert bench.kinds() == [ev.SpeechStarted, ev.SpeechStopped]
    assert bench.said() == list(range(640))
    stopped = next(event for event in bench.told if isinstance(event, ev.SpeechStopped))
    assert stopped.last_speech_ms == pytest.approx(bench.now_ms() - 640, abs=WINDOW_MS)


async def test_without_a_detector_everything_is_handed_on():
    bench = Bench(detected=False)
    await bench.microphone.speaks(200)
    assert bench.said() == list(range(200))
    assert bench.kinds() == []


# Mute and push-to-talk


async def test_muting_ends_the_utterance_and_discards_what_follows():
    bench = Bench()
    await bench.microphone.speaks(500)
    bench.intake.mute(True)
    muted_at_ms = bench.microphone.said_ms
    await bench.microphone.speaks(500)
    bench.intake.mute(False)
    await bench.microphone.is_silent(500)
    await bench.microphone.speaks(500)
    assert bench.kinds() == [
        ev.SpeechStarted,
        ev.SpeechStopped,
        ev.Muted,
        ev.Muted,
        ev.SpeechStarted,
    ]
    assert set(bench.said()) & set(range(muted_at_ms, muted_at_ms + 500)) == set()
    assert bench.said()[:500] == list(range(500)), "what came before belongs to the utterance"
    recorded = caller_milliseconds(bench.recorded())
    assert recorded[500:1_000] == [-1] * 500, "not on the recording either"


async def test_what_came_before_muting_is_no_beginning_of_what_comes_after():
    bench = Bench()
    bench.detector.judge = lambda _window: 0.0
    await bench.microphone.speaks(320)
    bench.intake.mute(True)
    bench.intake.mute(False)
    bench.detector.judge = loud
    await bench.microphone.speaks(320)
    assert bench.said() == list(range(320, 640))


async def test_a_judgement_that_comes_after_muting_is_no_speech():
    bench = Bench()
    bench.detector.held = True
    await bench.microphone.speaks(500)
    bench.intake.mute(True)
    bench.detector.let_go()
    assert bench.kinds() == [ev.Muted]
    bench.intake.mute(False)
    await bench.microphone.is_silent(100)
    await bench.microphone.speaks(500)
    assert bench.kinds() == [ev.Muted, ev.Muted, ev.SpeechStarted]
    assert bench.said()[0] == 500


async def test_push_to_talk_takes_exactly_what_is_said_while_the_button_is_down():
    bench = Bench()
    bench.intake.use_push_to_talk(True)
    await bench.microphone.speaks(500)
    bench.intake.talk(True)
    bench.intake.talk(True)
    await bench.microphone.speaks(500)
    bench.intake.talk(False)
    await bench.microphone.speaks(500)
    assert bench.kinds() == [ev.TalkStarted, ev.TalkStopped]
    assert bench.said() == list(range(500, 1_000))


async def test_the_button_means_nothing_in_the_automatic_mode():
    bench = Bench()
    bench.intake.talk(True)
    await bench.microphone.is_silent(500)
    assert bench.told == []


async def test_the_mode_may_change_with_the_button_down():
    bench = Bench()
    bench.intake.use_push_to_talk(True)
    bench.intake.talk(True)
    await bench.microphone.speaks(200)
    bench.intake.use_push_to_talk(False)
    assert bench.kinds() == [ev.TalkStarted, ev.TalkStopped], "nobody waits for the release"
    await bench.microphone.speaks(200)
    assert bench.kinds()[2:] == [ev.SpeechStarted]


async def test_the_mode_may_change_in_the_middle_of_a_word():
    bench = Bench()
    await bench.microphone.speaks(500)
    bench.intake.use_push_to_talk(True)
    assert bench.kinds() == [ev.SpeechStarted, ev.SpeechStopped]
    assert bench.said() == list(range(500))


# Dropping and tuning


async def test_of_a_dropped_utterance_nothing_belongs_to_the_next_one():
    bench = Bench()
    await bench.microphone.speaks(500)
    bench.intake.drop()
    bench.listened = False
    dropped_ms, known = bench.microphone.said_ms, len(bench.said())
    await bench.microphone.is_silent(100)
    await bench.microphone.speaks(500)
    assert bench.kinds() == [ev.SpeechStarted, ev.SpeechStarted]
    assert bench.said()[known] == dropped_ms, "not even the sound just before"


async def test_what_came_before_the_drop_is_no_beginning_of_what_comes_after():
    bench = Bench()
    bench.detector.judge = lambda _window: 0.0
    await bench.microphone.speaks(320)
    bench.intake.drop()
    bench.detector.judge = loud
    await bench.microphone.speaks(320)
    assert bench.said() == list(range(320, 640))


async def test_a_voice_that_goes_on_after_it_was_dropped_is_noticed_anew():
    bench = Bench()
    await bench.microphone.speaks(500)
    bench.intake.drop()
    bench.listened = False
    await bench.microphone.speaks(WINDOW_MS)
    assert bench.kinds() == [ev.SpeechStarted]
    await bench.microphone.speaks(500)
    await bench.microphone.is_silent(400)
    assert bench.kinds() == [ev.SpeechStarted, ev.SpeechStarted, ev.SpeechStopped]


async def test_a_judgement_that_comes_after_the_drop_is_no_speech():
    bench = Bench()
    bench.detector.held = True
    await bench.microphone.speaks(500)
    bench.intake.drop()
    bench.detector.let_go()
    await bench.microphone.is_silent(500)
    assert bench.told == []
    await bench.microphone.speaks(200)
    assert bench.kinds() == [ev.SpeechStarted]


async def test_a_dropped_button_is_up_and_nobody_is_told():
    bench = Bench()
    bench.intake.use_push_to_talk(True)
    bench.intake.talk(True)
    await bench.microphone.speaks(200)
    bench.intake.drop()
    await bench.microphone.speaks(200)
    bench.intake.talk(False)
    assert bench.kinds() == [ev.TalkStarted]
    assert bench.said() == list(range(200))
    bench.intake.talk(True)
    assert bench.kinds() == [ev.TalkStarted, ev.TalkStarted]


async def test_without_a_detector_dropping_and_tuning_change_nothing():
    bench = Bench(detected=False)
    bench.intake.drop()
    bench.intake.tune(threshold=0.9, prefix_ms=100)
    await bench.microphone.speaks(200)
    assert bench.said() == list(range(200))


@pytest.mark.parametrize(
    ("threshold", "sure", "noticed"),
    [
        (None, 0.5, True),
        (None, 0.49, False),
        (0.9, 0.85, False),
        (0.9, 0.9, True),
        (0.2, 0.25, True),
        (0.0, 0.01, False),
        (1.0, 1.0, True),
        (7.5, 0.96, True),
    ],
)
async def test_the_detector_has_to_be_as_sure_as_is_wanted(threshold, sure, noticed):
    bench = Bench()
    bench.detector.judge = lambda window: loud(window) * sure
    bench.intake.tune(threshold=threshold, prefix_ms=None)
    await bench.microphone.is_silent(200)
    await bench.microphone.speaks(300)
    assert (bench.kinds() == [ev.SpeechStarted]) is noticed


async def test_a_voice_that_gets_weaker_goes_on_by_the_usual_measure():
    bench = Bench()
    bench.intake.tune(threshold=0.8, prefix_ms=None)
    await bench.microphone.speaks(300)
    for sure, ended in ((0.57, False), (0.55, True)):
        bench.detector.judge = lambda _window, sure=sure: sure
        await bench.microphone.speaks(640)
        assert (bench.kinds()[-1] is ev.SpeechStopped) is ended


@pytest.mark.parametrize(
    ("prefix_ms", "kept_ms"), [(0, 0), (100, 100), (1_000, 1_000), (9_000, 2_000), (-5, 0)]
)
async def test_so_much_before_the_speech_belongs_to_it_as_is_wanted(prefix_ms, kept_ms):
    bench = Bench()
    await bench.microphone.is_silent(1_000)
    bench.intake.tune(threshold=None, prefix_ms=prefix_ms)
    await bench.microphone.is_silent(2_000)
    await bench.microphone.speaks(500)
    first = next(event for event in bench.told if isinstance(event, ev.MicAudio))
    assert CALLER.ms(first.pcm) - WINDOW_MS == kept_ms, "and what made it sure"


# Positions


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000])
async def test_speech_is_told_with_its_place_in_all_the_sound_that_was_sent(rate_hz):
    bench = Bench()
    bench.intake.use_rate(rate_hz)
    step = rate_hz // 50
    quiet, voice = bytes(2 * step), b"\x00\x40" * step
    for frame in [quiet] * 50 + [voice] * 40 + [quiet] * 20 + [voice] * 20 + [quiet] * 20:
        # It comes faster than it was spoken, and there is no clock in it.
        bench.intake.take(bench.intake.position, frame)
        await bench.clock.settle()
    edges = [event for event in bench.told if not isinstance(event, ev.MicAudio)]
    places = [event.position_ms for event in edges]
    assert places == pytest.approx([1_000, 1_800, 2_200, 2_600], abs=WINDOW_MS)


async def test_a_gap_that_the_client_tells_of_counts_as_sound():
    bench = Bench()
    await bench.microphone.is_silent(320)
    bench.microphone.position += 5_000 * MS
    await bench.clock.advance(5_000)
    await bench.microphone.speaks(320)
    (started,) = [event for event in bench.told if isinstance(event, ev.SpeechStarted)]
    assert started.position_ms == pytest.approx(5_320, abs=WINDOW_MS)


@given(
    cuts=st.lists(st.integers(1, 400), max_size=12),
    repeats=st.lists(st.integers(0, 500), max_size=12),
)
@settings(deadline=None)
async def test_however_frames_are_cut_repeated_and_overlapped_no_sample_comes_twice(cuts, repeats):
    bench = Bench(detected=False)
    bench.later_ms = 200
    sound = caller_sound(0, 200)
    at = 0
    for number, cut in enumerate([*cuts, 200 * MS]):
        again = repeats[number % len(repeats)] if repeats else 0
        start = max(0, at - again)
        at = min(200 * MS, at + cut)
        bench.intake.take(start, sound[2 * start : 2 * at])
    assert bench.intake.position == 200 * MS
    assert bench.sound() == sound
    assert b"".join(piece.pcm for piece in bench.recording.pieces["caller"]) == sound


async def test_sound_from_before_the_call_is_heard_and_not_recorded():
    bench = Bench(detected=False)
    bench.later_ms = 20
    bench.intake.take_next(caller_sound(0, 3_000))
    await bench.clock.advance(100)
    bench.intake.take_next(caller_sound(3_000, 100))
    assert bench.sound() == caller_sound(0, 3_100)
    (first, then) = bench.recording.pieces["caller"]
    assert (first.start_ms, first.pcm) == (0, caller_sound(2_980, 20))
    assert (then.start_ms, then.pcm) == (20, caller_sound(3_000, 100))


async def test_a_gap_is_stepped_over():
    bench = Bench(detected=False)
    await bench.microphone.speaks(100)
    await bench.clock.advance(300)
    bench.microphone.position += 300 * MS
    await bench.microphone.speaks(100)
    assert bench.intake.position == bench.microphone.position
    assert bench.said() == list(range(200))
    recorded = caller_milliseconds(bench.recorded())
    assert recorded == [*range(100), *[-1] * 300, *range(100, 200)]


async def test_positions_go_round_at_their_limit():
    bench = Bench(detected=False)
    near = 2**32 - 10 * MS
    for position in (2**30, 2**31, 3 * 2**30, near):
        bench.intake.take(position, b"")
    assert bench.intake.position == near
    bench.told.clear()
    sound = caller_sound(0, 40)
    bench.intake.take(near, sound[: 2 * 20 * MS])
    bench.intake.take(near, sound[: 2 * 20 * MS])
    bench.intake.take(10 * MS, sound[2 * 20 * MS :])
    assert bench.said() == list(range(40))
    assert bench.intake.position == 30 * MS


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
async def test_other_rates_arrive_at_the_callers(rate_hz):
    bench = Bench(detected=False)
    bench.intake.use_rate(rate_hz)
    samples = [round(9_000 * math.sin(2 * math.pi * 440 * n / rate_hz)) for n in range(rate_hz)]
    step = rate_hz // 50
    for at in range(0, rate_hz, step):
        await bench.clock.advance(20)
        frame = samples[at : at + step]
        bench.intake.take(at, struct.pack(f"<{len(frame)}h", *frame))
    sound = struct.unpack(f"<{len(bench.sound()) // 2}h", bench.sound())
    assert len(sound) == pytest.approx(CALLER.rate_hz, abs=CALLER.samples(3))
    crossings = sum(a < 0 <= b for a, b in itertools.pairwise(sound))
    assert crossings == pytest.approx(440, abs=2)


async def test_a_client_that_comes_back_with_another_rate_counts_on():
    bench = Bench(detected=False)
    await bench.microphone.speaks(1_000)
    bench.intake.use_rate(48_000)
    assert bench.intake.position == 48_000
    bench.intake.take(48_000 - 480, bytes(2 * 960))
    assert bench.intake.position == 48_480


# The recording's time line


async def test_sound_is_recorded_where_it_was_spoken():
    bench = Bench()
    await bench.clock.advance(1_500)
    await bench.microphone.speaks(500)
    recorded = caller_milliseconds(bench.recorded())
    assert recorded == [*[-1] * 1_500, *range(500)]


@pytest.mark.parametrize("uplink", [pytest.param(2, id="slow"), pytest.param(20, id="fast")])
async def test_what_comes_late_is_recorded_where_it_was_spoken(uplink):
    bench = Bench()
    await bench.microphone.speaks(1_000)
    await bench.clock.advance(4_000)
    spoken_ms, sent_ms = 5_000, 1_000
    while sent_ms < spoken_ms:
        await bench.clock.advance(FRAME_MS)
        spoken_ms += FRAME_MS
        for _ in range(uplink):
            if sent_ms < spoken_ms:
                bench.intake.take(sent_ms * MS, caller_sound(sent_ms, FRAME_MS))
                sent_ms += FRAME_MS
    assert caller_milliseconds(bench.recorded()) == list(range(sent_ms))


async def test_a_clock_that_is_slow_does_not_shift_the_recording_for_ever():
    """Two minutes with a device that gives 0.5 % fewer samples than it should."""
    bench = Bench()
    await bench.microphone.speaks(100)
    for number in range(6_000):
        bench.later_ms += FRAME_MS
        samples = 19 * MS if number % 10 == 0 else 20 * MS
        bench.intake.take(bench.microphone.position, bytes(2 * samples))
        bench.microphone.position += samples
    last = bench.recording.pieces["caller"][-1]
    ended_ms = last.start_ms + CALLER.ms(last.pcm)
    assert ended_ms == pytest.approx(bench.now_ms(), abs=100)


async def test_a_jump_of_the_clients_count_does_not_lead_into_the_future():
    bench = Bench()
    await bench.microphone.speaks(200)
    bench.microphone.position += 10_000 * MS
    await bench.microphone.speaks(200)
    last = bench.recording.pieces["caller"][-1]
    assert last.start_ms + CALLER.ms(last.pcm) <= bench.now_ms()


async def test_a_closed_intake_lets_go_of_its_detector():
    bench = Bench()
    bench.intake.close()
    assert bench.detector.detections[0].closed
