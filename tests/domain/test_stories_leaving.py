"""Stories of calls on a server that ends: whoever has the floor keeps it to the end of the turn."""

import pytest

from calls.domain import events as ev
from calls.domain.errors import EndReason
from tests.doubles.story import (
    Call,
    answered,
    answering,
    begun,
    heard_out,
    made,
    silence,
    sound,
    speech,
    stored,
    timer,
    typed,
    understood,
    words,
)

LEAVE = ev.EndAsked(reason=EndReason.RESTARTED, once_free=True)


def ends(call: Call) -> list[str]:
    return [sentence for sentence in call.sentences if sentence.startswith("end: ")]


def test_a_call_in_which_nobody_speaks_ends_at_once():
    assert ends(begun().after((1000, LEAVE))) == ["end: restarted"]


def test_an_answer_is_heard_out():
    call = answering().after((3700, LEAVE))
    assert "clear 1" not in call.sentences
    call.after((3800, made(1)), (3900, stored(2)), (5000, heard_out(1)))
    assert ends(call) == []
    call.after((5010, stored(2, 1)))
    assert ends(call) == ["end: restarted"]
    assert call.state.items[-1].status == "complete"


def test_an_open_utterance_is_understood_and_answered():
    call = begun().after((1000, speech()), (1100, LEAVE), (2000, silence(1900)))
    call.after((2500, timer("endpoint")), (2800, understood("Hello?")), (2810, stored(1)))
    call.after((3000, words(1, "Hi.")), (3010, sound(1, 400)), (3020, made(1)), (3030, stored(2)))
    assert ends(call) == []
    call.after((4000, heard_out(1)), (4010, stored(2, 1)))
    assert ends(call) == ["end: restarted"]


def test_what_is_typed_meanwhile_is_answered_as_well():
    call = answering().after((3700, LEAVE), (3750, typed("And tomorrow?")), (3760, stored(3)))
    assert ends(call) == []


def test_nobody_is_waited_for_who_is_away():
    call = answering().after((3700, ev.ClientDetached()), (3710, LEAVE), (3720, stored(2, 1)))
    assert ends(call) == ["end: restarted"]


def test_who_leaves_meanwhile_is_not_waited_for():
    call = answering().after((3700, LEAVE), (3710, ev.ClientDetached()), (3720, stored(2, 1)))
    assert ends(call) == ["end: restarted"]


def test_at_the_deadline_the_turn_is_cut():
    call = answering().after((3700, LEAVE), (3800, ev.EndAsked(reason=EndReason.RESTARTED)))
    assert "clear 1" in call.sentences
    assert ends(call.after((3810, stored(2, 1)))) == ["end: restarted"]


def test_a_goodbye_keeps_its_own_reason():
    call = answered(max_call_ms=6_000).after((6000, timer("max_call")), (6010, LEAVE))
    assert ends(call) == []
    call.after((6100, made(2)), (6110, stored(3)), (8000, heard_out(2)), (8010, stored(3, 1)))
    assert ends(call) == ["end: max_length"]


@pytest.mark.parametrize("first", [EndReason.STAFF_ENDED, EndReason.RESTARTED])
def test_the_first_who_asked_gives_the_reason(first):
    call = answering().after((3700, ev.EndAsked(reason=first, once_free=True)), (3701, LEAVE))
    call.after((3800, made(1)), (3900, stored(2)), (5000, heard_out(1)), (5010, stored(2, 1)))
    assert ends(call) == [f"end: {first}"]
