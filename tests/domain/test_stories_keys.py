"""Stories of a caller who presses keys, and of utterances that are taken back."""

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.items import Source
from tests.doubles.story import (
    Call,
    answering,
    asked,
    begun,
    cut,
    dropped,
    fails,
    heard_out,
    key,
    silence,
    speech,
    timer,
    typed,
    understood,
    wants_answer,
    wants_tool,
)

ASKED = "user What time is it?"


def pressed(call: Call, at_ms: int, digits: str) -> Call:
    """These keys, one every hundred milliseconds."""
    return call.after(*((at_ms + 100 * n, key(digit)) for n, digit in enumerate(digits)))


def numbers(call: Call) -> list[str]:
    return [item.text for item in call.state.items if item.source is Source.KEYPAD]


# Keys


def test_a_number_is_what_the_caller_says():
    begun().play(
        (1000, key("4"), ["digits at 2500", "phase hearing", "no idle"]),
        (1300, key("2"), ["digits at 2800"]),
        (2800, timer("digits"), [
            "no digits",
            "store 1 user: 42",
            "answer 1: user 42",
            "response_wait at 22800",
            "phase thinking",
        ]),
    )  # fmt: skip


def test_a_number_ends_with_a_hash_that_is_not_of_it():
    call = pressed(begun(), 1000, "12")
    call.play((1300, key("#"), ["no digits", "store 1 user: 12", "answer 1: user 12", ...]))


def test_a_hash_alone_is_a_number():
    call = begun()
    call.play((1000, key("#"), [..., "store 1 user: #", "answer 1: user #", ...]))
    assert "digits" not in call.timers


def test_all_keys_of_a_telephone_are_taken_and_no_others():
    call = pressed(begun(), 1000, "1*ABCD0")
    for digit in ("a", "x", "", "12", "E", " ", "٣"):
        assert call.happens(1700, key(digit)) == []
    call.after((3100, timer("digits")))
    assert numbers(call) == ["1*ABCD0"]


def test_a_number_is_as_long_as_numbers_are():
    call = pressed(begun(), 1000, "1" * 64)
    call.play((7400, key("2"), []))
    call.after((8800, timer("digits")))
    assert numbers(call) == ["1" * 64]


def test_the_first_key_interrupts():
    call = answering()
    call.play(
        (4000, key("1"), [
            "clear 1",
            "cancel 1 at 400",
            "no response_wait",
            "cut at 4400",
            "no cut",
            "settle 1 at 400",
            "store 2 agent interrupted: It| is four. Good night.",
            ...,
            "digits at 5500",
            "phase hearing",
        ]),
        (5500, timer("digits"), [..., f"answer 2: {ASKED} / agent It / user 1", ...]),
    )  # fmt: skip


def test_keys_do_not_interrupt_who_may_not_be_interrupted():
    call = answering(interruptible=False)
    call.play(
        (4000, key("1"), ["digits at 5500"]),
        (5200, heard_out(1), [..., "phase hearing"]),
        (5500, timer("digits"), [..., f"answer 2: {ASKED} / agent It is four. Good night. / user 1", ...]),
    )  # fmt: skip


def test_nobody_begins_to_speak_while_a_number_is_dialled():
    call = begun(idle_ms=1_200).after((1000, speech()), (1900, ev.TalkStopped()))
    call.play(
        (2000, key("1"), ["digits at 3500"]),
        (2300, understood("My number is"), [..., "store 1 user: My number is"]),
        (2400, ev.AnswerGiven(text="Wait."), []),
        (3500, timer("digits"), [..., "answer 1: user My number is / user 1", ...]),
    )


def test_keys_pressed_while_the_caller_speaks_belong_to_that_turn():
    call = begun().after((1000, speech()), (1200, key("7")), (2700, timer("digits")))
    call.after((2900, ev.TalkStopped()))
    call.play(
        (3300, understood("is my number"), [..., "answer 1: user 7 / user is my number", ...])
    )
    assert [item.turn for item in call.state.items] == [1, 1]


def test_a_number_that_is_not_complete_is_on_the_record_when_the_call_ends():
    call = pressed(begun(), 1000, "12").after((1500, ev.HungUp()))
    assert numbers(call) == ["12"]
    assert "digits" not in call.timers
    call.play((1600, key("3"), []))


def test_a_number_is_not_answered_where_answers_are_asked_for():
    begun(answers=False).after((1000, key("1"))).play(
        (2500, timer("digits"), ["no digits", "store 1 user: 1", "phase listening"]),
        (3000, wants_answer(), ["answer 1: user 1", ...]),
    )


def test_a_caller_who_dials_is_there():
    call = begun(idle_ms=5_000, idle_prompts=1).after((4000, key("1")), (5500, timer("digits")))
    assert call.state.idle_prompts == 0
    assert call.state.end_reason is None


# Taken back


def test_an_utterance_that_is_dropped_is_not_understood():
    begun().telling_all().after((1000, speech())).play(
        (1500, dropped(), [
            "no endpoint",
            "no max_turn",
            "discard",
            "speech 1 dropped",
            "phase listening",
        ]),
        (1600, silence(1550), []),
        (1700, dropped(), []),
    )  # fmt: skip


def test_an_utterance_in_its_pause_can_be_dropped_too():
    call = begun().after((1000, speech()), (1900, silence(1800)), (2000, dropped()))
    assert call.timers == {}
    assert "commit" not in call.sentences


def test_what_a_dropped_utterance_broke_off_goes_on():
    call = answering().after((4000, speech()))
    call.play((4200, dropped(), [
        "no endpoint",
        "no max_turn",
        "discard",
        "no cut",
        "settle 1 at 400",
        "store 2 agent interrupted: It| is four. Good night.",
        ...,
        "say 2:  is four. Good night.",
        "response_wait at 24200",
        "phase thinking",
    ]))  # fmt: skip


def test_a_question_that_a_dropped_utterance_broke_off_is_answered():
    call = asked().after((3000, speech()), (3050, cut(1, 0)))
    call.play((3200, dropped(), [..., f"answer 2: {ASKED}", "response_wait at 23200", "phase thinking"]))  # fmt: skip


def test_nothing_goes_on_by_itself_where_answers_are_asked_for():
    call = asked(answers=False).after((2950, wants_answer()), (3000, speech()), (3050, cut(1, 0)))
    call.play((3200, dropped(), [..., "discard", "phase listening"]))


def test_words_typed_into_a_dropped_utterance_are_answered():
    call = begun().after((1000, speech()), (1200, typed("Four chairs")))
    call.telling_all().play((1500, dropped(), [
        "no endpoint",
        "no max_turn",
        "discard",
        "speech 1 dropped",
        "began 1.0 in turn 1",
        "answer 1: user Four chairs",
        ...,
    ]))  # fmt: skip


def test_a_drop_does_not_touch_what_was_said_before():
    call = begun().after((1000, speech()), (1900, ev.TalkStopped()), (2000, speech()))
    call.play(
        (2100, dropped(), ["no endpoint", "no max_turn", "discard", "phase thinking"]),
        (2300, understood("Hello"), [..., "answer 1: user Hello", ...]),
    )


def test_a_client_that_wants_silence_gets_it():
    call = answering().telling_all()
    call.play(
        (4000, dropped(unanswered=True), [
            "clear 1",
            "cancel 1 at 400",
            "no response_wait",
            "cut at 4400",
            "phase listening",
        ]),
        (4050, cut(1, 300), ["no cut", "settle 1 at 300", ...]),
        (5000, speech(), [...]),
        (5300, ev.TalkStopped(), [...]),
        (5600, understood(""), [..., "store turn 2:", "phase listening"]),
    )  # fmt: skip


def test_words_that_are_being_understood_are_recorded_without_an_answer():
    call = begun().after((1000, speech()), (1900, ev.TalkStopped()))
    call.play(
        (2000, dropped(unanswered=True), []),
        (2300, understood("Hello"), [
            "no stt_wait",
            "caption 1: Hello",
            "store turn 1:",
            "store 1 user: Hello",
            "phase listening",
        ]),
        (3000, typed("Are you there?"), [..., "answer 1: user Hello / user Are you there?", ...]),
    )  # fmt: skip


@pytest.mark.parametrize("event", [understood(""), fails("stt")])
def test_nothing_is_remarked_upon_that_is_not_to_be_answered(event):
    call = begun().after(
        (1000, speech()), (1900, ev.TalkStopped()), (2000, dropped(unanswered=True))
    )
    call.after((2300, event))
    assert call.state.response is None
    assert not call.state.awaiting


def test_what_was_asked_for_is_dropped_with_the_rest():
    call = begun(answers=False).after((1000, speech()), (1100, wants_answer()))
    call.after((1200, dropped(unanswered=True)))
    assert call.state.asked is None


def test_an_answer_that_waited_for_its_tools_is_not_begun_anew():
    call = asked().after((3000, wants_tool(1, "a")), (3010, ev.ResponseDone(response_id=1)))
    call.after((3400, speech()), (3450, cut(1, 0)), (3600, dropped(unanswered=True)))
    call.play((4000, ev.ToolFinished(tool_call_id="a", output="ok"), [
        "store 2 tool book: ok",
        "tool a is done",
    ]))  # fmt: skip


def test_a_goodbye_is_not_silenced():
    call = begun(max_call_ms=5_000).after((5000, timer("max_call")))
    call.play((5100, dropped(unanswered=True), []))
    assert call.state.end_reason is EndReason.MAX_LENGTH


def test_speech_that_nobody_listens_to_is_dropped_as_well():
    call = answering(interruptible=False).after((4000, speech()), (4100, dropped()))
    call.play((5200, heard_out(1), [..., "phase listening"]))
    assert not any(isinstance(e, do.SendSpeech) and e.turn == 2 for e in call.effects)


# Any state


LATE = (
    key("1"), dropped(), dropped(unanswered=True), wants_answer(), ev.AnswerCancelled(),
    ev.EntryRemoved(turn=1), ev.HeardTold(response_id=1, heard_ms=0),
)  # fmt: skip


@pytest.mark.parametrize("event", LATE, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("state", ["new", "ending", "closed"])
def test_what_comes_before_the_call_or_after_it_is_nothing(event, state):
    call = Call() if state == "new" else begun().after((10, typed("Hi")), (20, ev.HungUp()))
    if state == "closed":
        call.after((3020, timer("end")))
    assert call.happens(3020, event) == [] if state != "ending" else call.happens(30, event) == []
