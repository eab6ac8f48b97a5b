"""How the silence before an answer came about."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain import events as ev
from calls.domain.effects import SendTurn, StoreTurn
from calls.domain.timings import STAGES, Turn, TurnTimings
from tests.doubles.story import (
    Call,
    answering,
    asked,
    begun,
    cut,
    fails,
    heard_out,
    made,
    played,
    sent,
    silence,
    sound,
    speech,
    timer,
    typed,
    understood,
    words,
)


def turns(call: Call) -> list[Turn]:
    """What the record holds of each turn at the end."""
    told = {e.turn.turn: e.turn for e in call.effects if isinstance(e, StoreTurn)}
    return [told[number] for number in sorted(told)]


def heard(call: Call, *, first_ms: int) -> Call:
    """Answer 1: thought from 3000, voiced at 3080, sent at 3090; its first sound out at `first_ms`."""
    return call.after(
        (3000, words(1, "Four.")),
        (3080, sound(1, 500)),
        (3090, sent(1)),
        (3095, made(1)),
        (first_ms + 200, played(1, 200)),
        (first_ms + 500, heard_out(1, 500)),
    )


def test_the_stages_add_up_to_the_silence():
    (turn,) = turns(heard(asked(), first_ms=3150))
    assert turn.timings == TurnTimings(
        speech_started_ms=1000,
        speech_stopped_ms=2000,
        committed_ms=2600,
        transcript_ms=2900,
        first_text_ms=3000,
        first_audio_ms=3080,
        first_sent_ms=3090,
        first_heard_ms=3150,
        ended_ms=3650,
    )
    assert turn.timings.stages() == {
        "endpointing": 600,
        "stt": 300,
        "llm": 100,
        "tts": 80,
        "playout": 10,
        "delivery": 60,
    }
    assert turn.timings.latency_ms == 1150
    assert (turn.stt, turn.llm, turn.tts) == ("ears", "mind", "voice")
    assert (turn.response_id, turn.heard_ms, turn.spoken_ms) == (1, 500, 500)


def test_the_page_is_told_when_the_answer_begins_to_be_heard_and_when_it_is_over():
    call = heard(asked(), first_ms=3150)
    shown = [e.turn.timings.ended_ms for e in call.effects if isinstance(e, SendTurn)]
    assert shown == [None, 3650]


def test_sound_is_not_heard_before_it_was_sent():
    """A client whose clock or mouth runs ahead."""
    call = asked().after((3000, words(1, "Four.")), (3080, sound(1, 500)), (3090, sent(1)))
    call.after((3100, played(1, 400)))
    assert call.state.response is not None
    assert call.state.response.timings.first_heard_ms == 3090


def test_a_report_of_nothing_is_not_yet_hearing():
    call = answering()
    assert call.state.response is not None
    assert call.state.response.timings.first_heard_ms is None


def test_an_answer_whose_only_report_is_its_end_was_heard_all_the_same():
    call = asked().after(
        (3000, words(1, "Four.")),
        (3080, sound(1, 100)),
        (3090, sent(1)),
        (3095, made(1)),
        (3250, heard_out(1, 100)),
    )
    assert turns(call)[0].timings.first_heard_ms == 3150


def test_a_typed_turn_has_no_endpointing():
    call = begun().after((1000, typed("Hello")), (1200, words(1, "Yes?")), (1300, sound(1, 500)))
    call.after((1310, sent(1)), (1320, made(1)), (1900, heard_out(1)))
    (turn,) = turns(call)
    assert turn.timings.stages()["endpointing"] == 0
    assert turn.timings.latency_ms == sum(turn.timings.stages().values()) == 400
    assert turn.stt == ""


def test_a_greeting_answers_nobody():
    call = begun(first_message="Hello.").after(
        (100, words(1, "Hello.")), (200, sound(1, 500)), (210, sent(1)), (220, made(1))
    )
    call.after((800, heard_out(1)))
    (turn,) = turns(call)
    assert (turn.turn, turn.timings.latency_ms, turn.timings.stages()) == (0, None, {})


def test_an_answer_without_sound_has_no_latency():
    call = asked().after((3000, words(1, "Four.")), (3010, made(1)), (3020, heard_out(1)))
    assert turns(call)[0].timings.latency_ms is None


def test_every_turn_of_the_caller_is_on_the_record():
    """Understood or not, answered or not, broken off or not."""
    call = heard(asked(), first_ms=3150).after(
        (5000, speech()),
        (5100, silence(5050)),
        (5650, timer("endpoint")),
        (5700, understood("")),
        (7000, speech()),
        (8000, silence(7900)),
        (8500, timer("endpoint")),
        (8550, speech()),
        (8600, understood("I want")),
        (9000, silence(8900)),
        (9500, timer("endpoint")),
        (9550, fails("stt")),
        (9600, ev.HungUp()),
    )
    told = [(t.turn, t.timings.speech_started_ms, t.timings.transcript_ms) for t in turns(call)]
    assert told == [
        (1, 1000, 2900),
        (2, 5000, 5700),
        (3, 7000, 8600),
        (4, 8550, None),
    ]


def test_an_interrupted_turn_says_so():
    call = answering().after((4250, speech()), (4300, cut(1, 1180)))
    (turn,) = turns(call)
    assert turn.interrupted
    assert (turn.heard_ms, turn.spoken_ms, turn.timings.ended_ms) == (1180, 2000, 4250)


def test_a_turn_cut_off_after_its_last_word_was_not_interrupted():
    call = answering().after((4250, speech()), (4300, cut(1, 2000)))
    assert not turns(call)[0].interrupted


stamp = st.none() | st.integers(0, 100_000)


@given(st.builds(TurnTimings, **dict.fromkeys(TurnTimings.__slots__, stamp)))
def test_whatever_was_stamped_the_stages_sum_to_the_latency(timings):
    stages = timings.stages()
    assert all(duration >= 0 for duration in stages.values())
    if timings.latency_ms is not None:
        assert tuple(stages) == STAGES
        assert sum(stages.values()) == timings.latency_ms


@given(st.lists(st.integers(0, 5_000), min_size=8, max_size=8).map(sorted), st.booleans())
def test_in_order_the_latency_is_from_the_end_of_speech_to_the_first_sound(stamps, reported):
    started, stopped, *between, first_sent, first_heard = stamps
    timings = TurnTimings(
        started,
        stopped,
        *between,
        first_sent_ms=first_sent,
        first_heard_ms=first_heard if reported else None,
    )
    assert timings.latency_ms == (first_heard if reported else first_sent) - stopped


@pytest.mark.parametrize(("heard", "sent_"), list(product([None, 900], [None, 800])))
def test_without_speech_there_is_no_latency(heard, sent_):
    timings = TurnTimings(first_sent_ms=sent_, first_heard_ms=heard)
    assert timings.latency_ms is None
