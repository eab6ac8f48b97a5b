"""Stories of clients that ask for answers, and stop them."""

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.items import ItemStatus
from calls.domain.wishes import Wishes
from tests.doubles.story import (
    answered,
    answering,
    asked,
    begun,
    cancels,
    cut,
    fails,
    gives,
    heard_out,
    led,
    made,
    played,
    silence,
    sound,
    speech,
    timer,
    tool_done,
    typed,
    understood,
    wants_answer,
    wants_tool,
    words,
)

ASKED = "user What time is it?"
LED = {"answers": False, "greets": False}


def understood_but_not_asked(**policy):
    """The caller asked, from 1000 to 2000, and was understood at 2900; nobody wants an answer."""
    return asked(answers=False, **policy)


# Nobody speaks unasked


@pytest.mark.parametrize("how", [{"first_message": "Hello."}, {"generate_first": True}])
def test_an_agent_that_does_not_greet_says_nothing_at_first(how):
    begun(greets=False, **how).play((5000, typed("Hi"), [..., "answer 1: user Hi", ...]))


def test_a_turn_is_understood_and_not_answered():
    call = begun(answers=False, idle_ms=15_000)
    call.after((1000, speech()), (2200, silence(2000)), (2600, timer("endpoint")))
    call.play(
        (2900, understood("What time is it?"), [
            "no stt_wait",
            "caption 1: What time is it?",
            "store turn 1:",
            "store 1 user: What time is it?",
            "phase listening",
            "idle at 17900",
        ]),
        (9000, typed("Well?"), ["store 2 user: Well?"]),
    )  # fmt: skip


def test_a_noise_is_not_remarked_upon_where_answers_are_asked_for():
    call = begun(answers=False).after((1000, speech()), (2200, silence(2000)))
    call.after((2600, timer("endpoint")))
    call.play((2900, understood(""), [..., "store turn 1:", "phase listening"]))


def test_ears_that_fail_are_told_and_not_apologised_for_where_answers_are_asked_for():
    call = begun(answers=False).after((1000, speech()), (2000, ev.TalkStopped()))
    call.play((2500, fails("stt"), [
        "error stt_failed",
        "no stt_wait",
        "caption 1: ",
        "store turn 1: stt_failed",
        "phase listening",
    ]))  # fmt: skip


def test_an_answer_broken_off_by_a_noise_stays_so_where_answers_are_asked_for():
    call = understood_but_not_asked().after(
        (3000, wants_answer()),
        (3100, words(1, "It is four.")),
        (3200, sound(1, 1000)),
        (3300, made(1)),
        (3500, speech()),
        (3550, cut(1, 200)),
        (3800, silence(3700)),
        (4300, timer("endpoint")),
    )
    call.play((4600, understood(""), [..., "store turn 2:", "phase listening"]))


# Asking


def test_an_answer_that_is_asked_for_begins_at_once():
    understood_but_not_asked().telling_all().play(
        (5000, wants_answer(), [
            "began 1.0 in turn 1",
            f"answer 1: {ASKED}",
            "response_wait at 25000",
            "phase thinking",
            "no idle",
        ]),
    )  # fmt: skip


def test_an_answer_belongs_to_the_turn_that_it_answers():
    call = understood_but_not_asked().after(
        (5000, wants_answer()),
        (5100, words(1, "Four.")),
        (5200, sound(1, 500)),
        (5300, made(1)),
        (5900, heard_out(1)),
    )
    turns = [e.turn for e in call.effects if isinstance(e, do.StoreTurn)]
    assert [(turn.turn, turn.response_id) for turn in turns] == [(1, None), (1, 1)]
    assert turns[-1].timings.speech_stopped_ms == 2000


def test_a_second_answer_is_a_turn_of_the_agents_own():
    call = answered().telling_all()
    call.play((6000, wants_answer(), ["began 2.0 in turn 2", f"answer 2: {ASKED} / agent It is four. Good night.", ...]))  # fmt: skip


@pytest.mark.parametrize("answers", [True, False])
def test_an_answer_asked_for_while_the_caller_speaks_begins_when_that_is_understood(answers):
    call = begun(answers=answers).after((1000, speech()))
    call.play((1500, wants_answer(instructions="Be brief."), []))
    call.after((2200, silence(2000)))
    call.play(
        (2600, timer("endpoint"), [..., "phase thinking"]),
        (2700, wants_answer(instructions="Be kind."), []),
        (2900, understood("Hello"), [..., "answer 1 as wished: user Hello", "response_wait at 22900"]),
    )  # fmt: skip
    created = [e for e in call.effects if isinstance(e, do.CreateResponse)]
    assert [e.wishes for e in created] == [Wishes(instructions="Be kind.")]


def test_an_answer_asked_for_comes_even_if_nothing_was_understood():
    call = begun(answers=False).after(
        (1000, speech()), (1500, ev.TalkStopped()), (1600, wants_answer())
    )
    call.play((1900, understood(""), [..., "answer 1: nothing", "response_wait at 21900"]))


def test_asking_while_an_answer_is_made_changes_nothing():
    call = asked(answers=True)
    call.play((3000, wants_answer(), []))
    call.after((3100, words(1, "Four.")), (3200, made(1)), (3300, heard_out(1)))
    assert call.state.response is None


def test_asking_while_an_answer_waits_for_its_tools_changes_nothing():
    call = asked().after((3000, wants_tool(1, "a")), (3010, made(1)))
    call.play(
        (3100, wants_answer(), []),
        (3200, tool_done("a"), [..., f"answer 1: {ASKED} / tool ok", ...]),
    )


def test_an_answer_that_is_still_being_heard_counts_as_heard():
    answering().play(
        (4000, wants_answer(), [
            "settle 1 at 2000",
            "store 2 agent: It is four. Good night.",
            "store turn 1: heard 2000 of 2000",
            "show turn 1: heard 2000 of 2000",
            f"answer 2: {ASKED} / agent It is four. Good night.",
            "response_wait at 24000",
            "phase thinking",
        ]),
        (4100, played(1, 900), []),
        (5200, heard_out(1), []),
    )  # fmt: skip


def test_the_last_words_of_a_call_are_let_finish():
    call = asked().after(
        (3000, words(1, "Bye.")),
        (3010, ev.ResponseDirected(response_id=1, direction=ev.Direction.END_CALL)),
        (3020, sound(1, 500)),
        (3030, made(1)),
    )
    call.play((3100, wants_answer(), []), (3600, heard_out(1), [..., "phase ending"]))


def test_an_ended_call_answers_nobody():
    asked().after((3000, ev.HungUp())).play((3100, wants_answer(), []))


def test_what_was_asked_for_is_dropped_when_the_call_ends():
    call = begun().after((1000, speech()), (1500, wants_answer()), (1600, ev.HungUp()))
    assert call.state.asked is None
    call.play((1700, understood("Hello"), ["no stt_wait", "caption 1: Hello", "store turn 1:", "store 1 user: Hello"]))  # fmt: skip


# The greeting


def test_the_first_answer_is_the_greeting_of_the_agent():
    begun(first_message="Hello.", **LED).telling_all().play(
        (100, wants_answer(metadata={"a": "1"}), [
            "began 1.0 in turn 0 with {'a': '1'}",
            "say 1: Hello.",
            "response_wait at 20100",
            "phase thinking",
            "no idle",
        ]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "wishes"),
    [
        pytest.param([], {"instructions": "Sing."}, id="other instructions"),
        pytest.param([gives("user", "Hi")], {}, id="there is an entry"),
        pytest.param([ev.ConversationReset(entries=(("user", "Hi"),))], {}, id="an earlier call"),
    ],
)
def test_a_greeting_is_not_said_when_something_else_is_wanted(before, wishes):
    call = begun(first_message="Hello.", **LED).after(*((50, event) for event in before))
    assert any(s.startswith("answer 1") for s in call.happens(100, wants_answer(**wishes)))


def test_without_a_greeting_the_model_begins():
    begun(**LED).play((100, wants_answer(), ["answer 1: nothing", ...]))


# Wishes


def test_wishes_hold_for_all_rounds_and_a_tool_has_to_be_used_once():
    wishes = Wishes(instructions="Book it.", tool_choice="book", metadata={"a": "1"})
    call = understood_but_not_asked().after(
        (3000, ev.AnswerAsked(wishes=wishes)),
        (3100, wants_tool(1, "a")),
        (3110, made(1)),
        (3200, tool_done("a")),
        (3300, words(1, "Done.")),
        (3310, made(1)),
    )
    first, second = (e for e in call.effects if isinstance(e, do.CreateResponse))
    assert first.wishes == wishes
    assert second.wishes == Wishes(instructions="Book it.", metadata={"a": "1"})
    began = [e for e in call.effects if isinstance(e, do.SendResponseBegan)]
    assert [e.metadata for e in began] == [{"a": "1"}, {"a": "1"}]
    assert call.state.items[-1].metadata == {"a": "1"}


def test_an_answer_without_tools_has_none_and_runs_none():
    understood_but_not_asked().play(
        (
            3000,
            wants_answer(tool_choice="none"),
            [f"answer 1 without tools as wished: {ASKED}", ...],
        ),
        (3100, wants_tool(1, "a"), []),
    )


def test_wishes_are_those_of_one_answer():
    call = understood_but_not_asked()
    call.after((3000, wants_answer(instructions="Sing.")), (3100, made(1)), (3200, heard_out(1)))
    call.play((4000, wants_answer(), [f"answer 2: {ASKED}", ...]))


def test_an_answer_that_is_made_anew_after_a_noise_is_still_as_wished():
    call = begun().after((1000, speech()), (1200, wants_answer(instructions="Sing.")))
    call.after((1900, ev.TalkStopped()), (2300, understood("Hello")))
    call.after((3000, speech()), (3050, cut(1, 0)), (3300, ev.TalkStopped()))
    call.play((3600, understood(""), [..., "answer 2 as wished: user Hello", ...]))


# Stopping


def test_an_answer_that_is_stopped_falls_silent_and_nobody_has_spoken():
    asked().telling_all().after((3000, words(1, "It is four.")), (3100, sound(1, 1000))).play(
        (3500, cancels(1), [
            "clear 1",
            "cancel 1 at 0",
            "no response_wait",
            "cut at 3900",
            "made 1.0 cancelled",
            "phase listening",
        ]),
        (3550, cut(1, 380), [
            "no cut",
            "settle 1 at 380",
            "store 2 agent interrupted: It| is four.",
            ...,
        ]),
    )  # fmt: skip


def test_an_answer_that_is_being_heard_is_cut_by_the_best_knowledge():
    call = answering().after((3400, played(1, 200, 400)))
    call.play(
        (3700, cancels(), ["clear 1", "cancel 1 at 500", ...]),
        (4100, timer("cut"), [..., "settle 1 at 500", "store 2 agent interrupted: It is| four. Good night.", ...]),
    )  # fmt: skip


def test_what_was_stopped_does_not_come_back_after_a_noise():
    call = answering().after((4000, cancels()), (4050, cut(1, 300)))
    call.after((5000, speech()), (5300, silence(5200)), (5800, timer("endpoint")))
    call.play((6000, understood(""), ["no stt_wait", "caption 2: ", "store turn 2:", "phase listening"]))  # fmt: skip


def test_what_was_interrupted_and_then_stopped_does_not_come_back_either():
    call = answering().after((4000, speech()), (4050, cancels(1)), (4060, cut(1, 300)))
    call.after((4300, silence(4200)), (4800, timer("endpoint")))
    call.play((5000, understood(""), [..., "store turn 2:", "phase listening"]))


def test_an_answer_that_was_only_asked_for_is_forgotten():
    call = begun(answers=False).after((1000, speech()), (1500, wants_answer()), (1600, cancels()))
    call.after((1900, ev.TalkStopped()))
    call.play((2300, understood("Hello"), [..., "store 1 user: Hello", "phase listening"]))


def test_stopping_another_answer_stops_nothing():
    answering().play((4000, cancels(7), []))


def test_stopping_an_old_answer_does_not_forget_the_next():
    call = answered().after((6000, speech()), (6100, wants_answer()))
    call.play((6200, cancels(1), []))
    assert call.state.asked is not None


def test_stopping_what_is_not_there_is_nothing():
    begun().play((1000, cancels(), []), (1100, cancels(1), []))


def test_a_caller_who_speaks_again_is_answered_again():
    call = asked().after((3000, cancels()), (3400, timer("cut")))
    call.play((4000, typed("Now?"), [..., f"answer 2: {ASKED} / user Now?", ...]))
    assert call.state.items[0].status is ItemStatus.COMPLETE


def test_a_call_that_takes_its_leave_is_not_stopped():
    call = begun(max_call_ms=5_000).after((5000, timer("max_call")))
    call.play((5100, cancels(), []), (5100, wants_answer(), []))


# How the call is led


def test_answers_are_given_again_from_the_next_turn_on():
    call = understood_but_not_asked()
    call.play(
        (4000, led(), []),
        (5000, typed("Well?"), [..., f"answer 1: {ASKED} / user Well?", ...]),
    )


def test_a_turn_in_the_making_is_not_answered_when_answers_are_no_longer_given():
    call = begun().after((1000, speech()), (1900, ev.TalkStopped()), (2000, led(answers=False)))
    call.play((2300, understood("Hello"), [..., "store 1 user: Hello", "phase listening"]))


def test_a_pause_lasts_as_long_as_it_does_now():
    begun().after((1000, speech()), (2200, silence(2000))).play(
        (2300, led(endpoint_silence_ms=900), ["endpoint at 2900"]),
        (2400, led(endpoint_silence_ms=300), ["endpoint at 2400"]),
        (2400, timer("endpoint"), [..., "commit", ...]),
    )


def test_silence_is_counted_anew_when_it_may_last_longer():
    begun(idle_ms=5_000).play(
        (3000, led(idle_ms=9_000), ["no idle", "idle at 12000"]),
        (4000, led(idle_ms=9_000), []),
        (5000, led(idle_ms=0), ["no idle"]),
    )


def test_silence_is_not_counted_while_somebody_speaks():
    begun(idle_ms=5_000).after((1000, speech())).play((2000, led(idle_ms=9_000), []))
