"""Stories of what a client that leads is told: speech, answers being made, tools."""

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import EndReason
from tests.doubles.story import (
    Call,
    answering,
    asked,
    begun,
    cancels,
    cut,
    dropped,
    fails,
    heard_out,
    made,
    orders,
    silence,
    sound,
    speech,
    timer,
    tool_done,
    understood,
    wants_tool,
    words,
)

ASKED = "user What time is it?"


def told(call: Call, *kinds: type[do.Effect]) -> list[str]:
    """The sentences of these effects alone."""
    beginnings = {
        do.SendSpeech: "speech",
        do.SendResponseBegan: "began",
        do.SendResponseMade: "made",
    }
    wanted = tuple(beginnings[kind] for kind in kinds)
    return [s for s in call.telling_all().sentences if s.startswith(wanted)]


def outcomes(call: Call) -> list[str]:
    return told(call, do.SendResponseMade)


# Speech


def test_an_utterance_begins_and_is_committed_with_its_place_in_the_sound():
    begun().telling_all().play(
        (1000, speech(940), [
            "max_turn at 31000",
            "speech 1 started at 940",
            "no endpoint",
            "phase hearing",
            "no idle",
        ]),
        (1900, silence(1700, 1640), ["endpoint at 2300"]),
        (2300, timer("endpoint"), [
            "no endpoint",
            "no max_turn",
            "speech 1 committed at 1640",
            "commit",
            ...,
        ]),
    )  # fmt: skip


def test_speech_that_goes_on_is_the_same_utterance():
    call = begun().after(
        (1000, speech(940)),
        (1900, silence(1700, 1640)),
        (2100, speech(2040)),
        (2900, silence(2800, 2740)),
        (3400, timer("endpoint")),
    )
    assert told(call, do.SendSpeech) == ["speech 1 started at 940", "speech 1 committed at 2740"]


def test_where_an_utterance_ended_is_unknown_while_it_is_being_spoken():
    call = begun().after((1000, ev.TalkStarted()), (2000, ev.TalkStopped()))
    assert told(call, do.SendSpeech) == ["speech 1 started", "speech 1 committed"]


def test_the_place_of_an_earlier_pause_is_not_that_of_the_end():
    call = begun().after(
        (1000, speech(940)),
        (1900, silence(1700, 1640)),
        (2100, speech(2040)),
        (2200, ev.TalkStopped()),
    )
    assert told(call, do.SendSpeech)[-1] == "speech 1 committed"


def test_an_utterance_that_is_given_up_was_dropped():
    call = begun().after((1000, speech()), (1500, fails("voice", fatal=True)))
    assert told(call, do.SendSpeech) == ["speech 1 started", "speech 1 dropped"]


def test_a_new_utterance_while_the_last_one_is_not_understood_yet_is_the_next_turn():
    call = begun().after(
        (1000, speech()),
        (1900, ev.TalkStopped()),
        (2000, speech()),
        (2500, dropped()),
        (2600, speech()),
    )
    assert told(call, do.SendSpeech) == [
        "speech 1 started",
        "speech 1 committed",
        "speech 2 started",
        "speech 2 dropped",
        "speech 2 started",
    ]


# Answers


def test_an_answer_is_begun_and_made():
    call = begun().telling_all()
    call.after((1000, speech()), (2200, silence(2000)), (2600, timer("endpoint")))
    call.play(
        (2900, understood("What time is it?"), [
            ...,
            "began 1.0 in turn 1",
            f"answer 1: {ASKED}",
            "response_wait at 22900",
        ]),
        (3000, words(1, "Four."), ["show text 1 from 0: Four."]),
        (3010, sound(1, 900), [...]),
        (3100, made(1), [
            "made 1.0 complete",
            "store 2 agent in_progress: |Four.",
            "no response_wait",
            "finish 1",
        ]),
        (4100, heard_out(1), ["settle 1 at 900", ...]),
    )  # fmt: skip
    assert outcomes(call) == ["made 1.0 complete"]


def test_words_that_were_given_are_an_answer_too():
    call = begun(first_message="Hello.")
    assert told(call, do.SendResponseBegan) == ["began 1.0 in turn 0"]


def test_what_code_has_said_carries_its_metadata():
    call = begun().after((10, ev.AnswerGiven(text="Wait.", metadata='{"mood": "calm"}')))
    assert told(call, do.SendResponseBegan) == ["began 1.0 in turn 1 with {'mood': 'calm'}"]


def test_a_round_with_tools_is_made_before_they_have_settled():
    asked().telling_all().play(
        (3000, wants_tool(1, "a", "clock"), [...]),
        (3010, made(1), ["made 1.0 tools"]),
        (3500, tool_done("a", "16:00"), [
            "store 2 tool clock: 16:00",
            "tool a is done",
            "began 1.1 in turn 1",
            f"answer 1: {ASKED} / tool 16:00",
            "response_wait at 23500",
        ]),
        (3600, words(1, "Four."), [...]),
        (3700, made(1), ["made 1.1 complete", ..., "finish 1"]),
    )  # fmt: skip


def test_tools_that_settle_early_do_not_hide_that_a_round_was_made():
    call = asked().after((3000, wants_tool(1, "a")), (3100, tool_done("a")))
    assert call.telling_all().happens(3200, made(1)) == [
        "made 1.0 tools",
        "began 1.1 in turn 1",
        f"answer 1: {ASKED} / tool ok",
        "response_wait at 23200",
    ]


def test_a_tool_is_told_with_its_answer_its_arguments_and_its_output():
    call = asked().after((3000, wants_tool(1, "a", "clock")), (3500, tool_done("a", "16:00")))
    runs, done = (effect for effect in call.effects if isinstance(effect, do.SendTool))
    assert runs == do.SendTool("a", "clock", running=True, response_id=1, arguments="{}")
    assert done == do.SendTool("a", "clock", running=False, response_id=1, output="16:00")


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        pytest.param(speech(), "interrupted", id="the caller speaks"),
        pytest.param(ev.TextTyped(text="Stop"), "interrupted", id="the caller types"),
        pytest.param(ev.DigitPressed(digit="1"), "interrupted", id="the caller presses a key"),
        pytest.param(ev.AnswerGiven(text="Wait."), "interrupted", id="code has something to say"),
        pytest.param(ev.HungUp(), "interrupted", id="the caller hangs up"),
        pytest.param(ev.HeardTold(response_id=1, heard_ms=0), "interrupted", id="truncated"),
        pytest.param(cancels(), "cancelled", id="the client stops it"),
        pytest.param(cancels(1), "cancelled", id="the client stops this one"),
        pytest.param(dropped(unanswered=True), "cancelled", id="the client wants silence"),
        pytest.param(orders(1, "skip_answer"), "skipped", id="the model says nothing"),
        pytest.param(fails("llm", fatal=True), "failed", id="there is no session any more"),
    ],
)
def test_an_answer_that_is_cut_while_it_is_made_says_why(event, outcome):
    call = asked().after((3000, words(1, "It is")), (3100, event))
    assert outcomes(call)[0] == f"made 1.0 {outcome}"
    assert sum(sentence.startswith("made 1.") for sentence in outcomes(call)) == 1


def test_an_answer_that_was_made_is_not_made_again_by_cutting_it():
    call = answering().after((4000, speech()), (4050, cut(1, 300)))
    assert outcomes(call) == ["made 1.0 complete"]


def test_an_answer_that_waits_for_its_tools_is_not_made_again_by_cutting_it():
    call = asked().after((3000, wants_tool(1, "a")), (3010, made(1)), (3100, speech()))
    assert outcomes(call) == ["made 1.0 tools"]


def test_an_answer_that_does_not_come_failed_and_the_apology_is_another():
    call = asked(response_wait_ms=5_000)
    call.after((7900, timer("response_wait")))
    assert told(call, do.SendResponseBegan, do.SendResponseMade) == [
        "began 1.0 in turn 1",
        "made 1.0 failed",
        "began 2.0 in turn 1",
    ]


def test_an_apology_within_an_answer_is_what_the_answer_becomes():
    call = asked().after((3000, fails("llm", 1)), (3100, words(1, "Sorry.")), (3200, made(1)))
    assert told(call, do.SendResponseBegan, do.SendResponseMade) == [
        "began 1.0 in turn 1",
        "made 1.0 complete",
    ]


def test_an_answer_that_fails_twice_ends_the_call_without_words():
    call = asked().after((3000, fails("llm", 1)), (3100, fails("llm", 1)))
    assert outcomes(call) == ["made 1.0 failed"]
    assert call.state.end_reason is EndReason.PROVIDER_FAILED


def test_an_answer_without_a_voice_is_made_all_the_same():
    call = asked().after((3000, words(1, "Four.")), (3100, fails("tts", 1)))
    assert outcomes(call) == ["made 1.0 complete"]
