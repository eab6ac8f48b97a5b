"""Stories of how calls end: each with its reason, its last words stored."""

import pytest

from calls.domain import events as ev
from calls.domain.errors import CallError, EndReason, ErrorCode
from tests.doubles.story import (
    Call,
    answered,
    answering,
    asked,
    begun,
    heard_out,
    made,
    mic,
    orders,
    silence,
    sound,
    speech,
    stored,
    timer,
    typed,
    understood,
    words,
)

FAREWELL = "We have reached the longest time for a call. Goodbye."


def ends(call: Call) -> list[str]:
    return [sentence for sentence in call.sentences if sentence.startswith("end: ")]


# Nobody speaks


def test_silence_is_asked_about_and_then_ends_the_call():
    begun(idle_ms=15_000, idle_prompts=2).play(
        (15_000, timer("idle"), [
            "say 1: Are you still there?",
            "response_wait at 35000",
            "phase thinking",
            "no idle",
        ]),
        (15_100, made(1), [..., "finish 1"]),
        (15_200, heard_out(1), [..., "phase listening", "idle at 30200"]),
        (30_200, timer("idle"), ["say 2: Are you still there?", ...]),
        (30_300, made(2), [..., "finish 2"]),
        (30_400, heard_out(2), [..., "idle at 45400"]),
        (45_400, timer("idle"), [..., "end: silence"]),
    )  # fmt: skip


def test_the_question_is_a_turn_of_its_own():
    call = answered(idle_ms=15_000).after((20_200, timer("idle")))
    assert call.state.turn == 2


def test_a_caller_who_speaks_again_is_asked_afresh():
    call = begun(idle_ms=15_000, idle_prompts=1)
    call.after((15_000, timer("idle")), (15_100, made(1)), (15_200, heard_out(1)))
    call.after((16_000, typed("Yes")), (16_100, made(2)), (16_200, heard_out(2)))
    call.play((31_200, timer("idle"), ["say 3: Are you still there?", ...]))


@pytest.mark.parametrize("policy", [{"idle_prompts": 0}, {"idle_text": ""}], ids=str)
def test_silence_that_is_not_asked_about_ends_the_call(policy):
    call = begun(idle_ms=15_000, **policy).after((15_000, timer("idle")))
    assert ends(call) == ["end: silence"]
    assert not [sentence for sentence in call.sentences if sentence.startswith("say")]


def test_silence_is_not_counted_while_somebody_has_the_floor():
    call = begun(idle_ms=15_000)
    for event in (speech(), silence(1000)):
        call.happens(1000, event)
        assert "idle" not in call.timers
    call.after((1600, timer("endpoint")), (2000, understood("Hello")))
    assert "idle" not in call.timers
    call.after((2100, words(1, "Hello.")), (2110, sound(1, 500)), (2120, made(1)))
    assert "idle" not in call.timers
    call.after((2700, heard_out(1)))
    assert call.timers["idle"] == 17_700


def test_a_stray_idle_timer_means_nothing_while_the_caller_speaks():
    call = begun().after((1000, speech()))
    call.timers["idle"] = 1500
    call.play((1500, timer("idle"), []))


# The longest call


def test_the_longest_call_ends_with_words():
    call = begun(max_call_ms=60_000).play(
        (60_000, timer("max_call"), [
            f"say 1: {FAREWELL}",
            "response_wait at 80000",
            "hard_end at 72000",
            "phase thinking",
            "no idle",
        ]),
        (60_100, words(1, FAREWELL), [...]),
        (60_110, sound(1, 3000), [...]),
        (60_120, made(1), [..., "finish 1"]),
        (60_125, stored(1), [...]),
        (61_000, speech(), []),
        (61_020, mic(20), []),
        (61_500, ev.AnswerGiven(text="Wait!"), []),
        (61_600, ev.ConversationReset(entries=()), []),
        (63_200, heard_out(1), ["settle 1 at 3000", ..., "phase ending"]),
        (63_210, stored(1, 1), [..., "end: max_length"]),
    )  # fmt: skip
    assert call.state.end_reason is EndReason.MAX_LENGTH


def test_what_is_typed_into_the_farewell_is_on_the_record():
    begun(max_call_ms=60_000).after((60_000, timer("max_call"))).play(
        (60_500, typed("One more thing"), ["store 1 user: One more thing"]),
        (61_000, made(1), [...]),
        (61_100, heard_out(1), [..., "phase ending"]),
        (61_200, stored(1), [..., "end: max_length"]),
    )


def test_a_farewell_that_does_not_end_is_ended():
    call = begun(max_call_ms=60_000).after((60_000, timer("max_call")))
    call.play((72_000, timer("hard_end"), ["clear 1", "cancel 1 at 0", ..., "end: max_length"]))


def test_the_farewell_is_a_turn_of_its_own():
    call = answered(max_call_ms=60_000).after((60_000, timer("max_call")), (60_100, made(2)))
    call.after((60_200, heard_out(2)))
    assert "store turn 2: heard 0 of 0" in call.sentences


def test_a_goodbye_of_the_agents_own_that_does_not_end_is_ended_too():
    call = asked(max_call_ms=3_700).after((3300, orders(1, "end_call")))
    call.play(
        (3700, timer("max_call"), ["hard_end at 15700"]),
        (15_700, timer("hard_end"), ["clear 1", ...]),
        (15_800, stored(1), []),
    )
    assert ends(call) == ["end: agent_ended"]


def test_the_farewell_interrupts_the_agent():
    answering(max_call_ms=3_700).play(
        (3700, timer("max_call"), ["clear 1", "cancel 1 at 400", ..., f"say 2: {FAREWELL}", ...])
    )


def test_the_farewell_lets_the_agents_own_goodbye_finish():
    answering(max_call_ms=3_700).after((3300, orders(1, "end_call"))).play(
        (3700, timer("max_call"), ["hard_end at 15700"]),
        (4000, speech(), []),
        (5200, heard_out(1), [..., "phase ending"]),
        (5300, stored(2, 1), [..., "end: agent_ended"]),
    )


def test_what_the_caller_is_saying_at_the_end_is_understood_and_stored():
    begun(max_call_ms=60_000).after((59_000, speech())).play(
        (60_000, timer("max_call"), [
            "no endpoint",
            "no max_turn",
            "commit",
            "stt_wait at 72000",
            f"say 1: {FAREWELL}",
            ...,
        ]),
        (60_300, understood("I want"), [
            "no stt_wait",
            "caption 1: I want",
            "store turn 1:",
            "store 1 user: I want",
        ]),
        (61_000, made(1), ["no response_wait", "finish 1"]),
    )  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(begun(max_call_ms=60_000, max_length_text=""), id="no words for it"),
        pytest.param(
            begun(max_call_ms=60_000, resume_ms=90_000).after((50_000, ev.ClientDetached())),
            id="nobody there to hear them",
        ),
    ],
)
def test_the_longest_call_ends_without_words(call):
    call.play((60_000, timer("max_call"), [..., "end: max_length"]))


def test_the_farewell_fails_and_the_call_ends_all_the_same():
    call = begun(max_call_ms=60_000).after((60_000, timer("max_call")))
    failed = ev.VoiceFailed(stage=ev.Stage.TTS, message="Hoarse.", response_id=1)
    call.after((60_100, failed), (60_110, heard_out(1)))
    assert ends(call) == ["end: max_length"]


def test_a_stray_hard_end_ends_the_call_as_the_longest():
    call = begun()
    call.timers["hard_end"] = 10
    call.play((10, timer("hard_end"), [..., "end: max_length"]))


# The caller hangs up


def test_the_caller_hangs_up():
    answered().play(
        (6000, ev.HungUp(), [
            "no endpoint",
            "no max_turn",
            "no max_call",
            "no hard_end",
            "no resume",
            "no response_wait",
            "end at 9000",
            "no end",
            "end: caller_hung_up",
        ]),
        (6001, ev.HungUp(), []),
        (6002, ev.EndAsked(reason=EndReason.STAFF_ENDED), []),
        (6003, ev.ClientAttached(), []),
    )  # fmt: skip


def test_the_caller_hangs_up_on_the_agent():
    answering().play(
        (3700, ev.HungUp(), [
            "clear 1",
            "cancel 1 at 400",
            ...,
            "settle 1 at 400",
            "store 2 agent interrupted: It| is four. Good night.",
            ...,
            "end at 6700",
            "phase ending",
        ]),
        (3710, stored(2, 1), [..., "no end", "end: caller_hung_up"]),
    )  # fmt: skip


def test_the_caller_hangs_up_in_mid_sentence_and_is_still_understood():
    begun().after((1000, speech())).play(
        (2000, ev.HungUp(), ["no endpoint", "no max_turn", "commit", ..., "phase ending"]),
        (2010, mic(20), []),
        (2300, understood("I want"), [..., "store 1 user: I want"]),
        (2310, stored(1), ["show 1 user: I want", "no end", "end: caller_hung_up"]),
    )


def test_words_that_are_not_understood_in_time_do_not_hold_the_line():
    call = begun().after((1000, speech()), (2000, ev.HungUp()))
    call.play((5000, timer("end"), ["store turn 1:", "no end", "end: caller_hung_up"]))


def test_last_words_that_cannot_be_understood_do_not_hold_the_line():
    call = begun().after((1000, speech()), (2000, ev.HungUp()))
    failed = ev.VoiceFailed(stage=ev.Stage.STT, message="Deaf.")
    call.play((2500, failed, ["error stt_failed", ..., "end: caller_hung_up"]))


def test_an_answer_that_the_caller_waits_for_is_not_begun_after_hanging_up():
    call = begun().after((1000, speech()), (2000, ev.HungUp()), (2300, understood("Hello?")))
    assert not [s for s in call.sentences if s.startswith("answer")]


# Somebody else ends it


@pytest.mark.parametrize("reason", [EndReason.STAFF_ENDED, EndReason.RESTARTED])
def test_somebody_else_ends_it(reason):
    call = answering().after((3700, ev.EndAsked(reason=reason)), (3800, stored(2, 1)))
    assert ends(call) == [f"end: {reason}"]


def test_the_first_reason_stands():
    call = answering().after((3700, ev.HungUp()), (3710, ev.EndAsked(reason=EndReason.STAFF_ENDED)))
    call.after((6700, timer("end")))
    assert ends(call) == ["end: caller_hung_up"]


def test_a_call_can_end_before_it_began():
    call = Call().after((0, ev.EndAsked(reason=EndReason.RESTARTED)), (1, ev.CallStarted()))
    assert call.sentences[-1] == "end: restarted"


def test_nothing_at_all_follows_the_end():
    call = asked().after((3000, ev.HungUp()))
    assert ends(call) == ["end: caller_hung_up"]
    for event in (stored(1), understood("Hello"), ev.ClientAttached(), mic(20), speech()):
        assert call.happens(3100, event) == []


def test_an_error_tells_its_code_and_a_sentence():
    error = CallError(ErrorCode.BUSY, "All lines are busy.")
    assert (error.code, error.message, str(error)) == ("busy", "All lines are busy.", error.message)
