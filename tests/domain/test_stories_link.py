"""Stories of a socket that drops: nothing is said twice, nothing is lost."""

from calls.domain import events as ev
from tests.doubles.story import (
    Call,
    answered,
    answering,
    asked,
    begun,
    cut,
    heard_out,
    made,
    mic,
    orders,
    played,
    sent,
    silence,
    sound,
    speech,
    stored,
    timer,
    tool_done,
    typed,
    understood,
    wants_tool,
    words,
)

GONE, BACK = ev.ClientDetached(), ev.ClientAttached()


def test_the_agent_waits_and_goes_on():
    answering().play(
        (3400, played(1, 200, 400), [...]),
        (3500, GONE, [
            "hold",
            "no endpoint",
            "no max_turn",
            "resume at 33500",
            "no idle",
        ]),
        (8000, played(1, 600), []),
        (8001, BACK, [
            "show 1 user: What time is it?",
            "show 2 agent in_progress: |It is four. Good night.",
            "no resume",
            "show text 1 from 0: It is four.",
            "show text 1 from 1000:  Good night.",
            "release",
            "phase speaking",
        ]),
        (9400, heard_out(1), ["settle 1 at 2000", "store 2 agent: It is four. Good night.", ...]),
    )  # fmt: skip


def test_what_is_thought_meanwhile_is_sent_and_waits_with_the_rest():
    asked().after((2950, GONE)).play(
        (3000, words(1, "It is four."), ["show text 1 from 0: It is four."]),
        (3100, sound(1, 1000), ["sound 1: 1000"]),
        (3110, made(1), [..., "finish 1"]),
        (8000, BACK, [..., "show text 1 from 0: It is four.", "release", "phase thinking"]),
        (8001, sent(1), ["phase speaking"]),
    )


def test_words_on_their_way_are_understood_and_answered_meanwhile():
    begun().after((1000, speech()), (2200, silence(2000)), (2600, timer("endpoint"))).play(
        (2700, GONE, [...]),
        (2900, understood("Hello"), [..., "store 1 user: Hello", "answer 1: user Hello", ...]),
        (2910, stored(1), ["show 1 user: Hello"]),
        (5000, BACK, ["show 1 user: Hello", ..., "release", "phase thinking"]),
    )


def test_a_pause_goes_on_with_all_of_its_time():
    begun().after((1000, speech()), (2200, silence(2000)), (2300, GONE)).play(
        (9000, BACK, ["no resume", "release", "max_turn at 39000", "endpoint at 9600", ...]),
        (9600, timer("endpoint"), [..., "commit", ...]),
    )


def test_an_utterance_goes_on_where_it_was():
    begun(max_turn_ms=5_000).after((1000, speech()), (2000, GONE)).play(
        (9000, BACK, ["no resume", "release", "max_turn at 14000", "phase hearing"]),
        (9020, mic(20), ["listen 20"]),
        (9500, silence(9400), ["endpoint at 10000"]),
    )


def test_the_detector_may_find_the_end_of_speech_while_the_client_is_away():
    begun().after((1000, speech()), (2000, GONE)).play(
        (2100, silence(1900), []),
        (9000, BACK, [..., "endpoint at 9600", "phase hearing"]),
    )


def test_the_detector_may_find_speech_right_after_the_client_has_gone():
    """What began before the drop goes on after it, so it must have been taken in."""
    answering().play(
        (3500, GONE, [...]),
        (3510, speech(), ["clear 1", "cancel 1 at 310", ...]),
        (3515, mic(300), ["listen 300"]),
        (3910, timer("cut"), [...]),
        (9000, BACK, [..., "release", "max_turn at 39000", "phase hearing"]),
        (9010, mic(20), ["listen 20"]),
    )


def test_what_was_typed_right_before_the_drop_is_not_lost():
    begun().after((1000, GONE)).play((1001, typed("Hello"), [..., "answer 1: user Hello", ...]))


def test_nobody_comes_back():
    answering(resume_ms=10_000).after((3500, GONE)).play(
        (13_500, timer("resume"), [
            "clear 1",
            "cancel 1 at 400",
            ...,
            "store 2 agent interrupted: It| is four. Good night.",
            ...,
            "phase ending",
        ]),
        (13_510, stored(2, 1), [..., "end: abandoned"]),
    )  # fmt: skip


def test_words_that_were_being_said_when_the_client_went_are_not_lost():
    begun(resume_ms=10_000).after((1000, speech()), (2000, GONE)).play(
        (12_000, timer("resume"), ["no endpoint", "no max_turn", "commit", ...]),
        (12_300, understood("I want"), [..., "store 1 user: I want"]),
        (12_310, stored(1), [..., "end: abandoned"]),
    )


def test_who_leaves_during_the_goodbye_has_not_abandoned_the_call():
    call = answering().after((3300, orders(1, "end_call")), (4000, GONE))
    call.play(
        (34_000, timer("resume"), [..., "phase ending"]),
        (34_010, stored(2, 1), [..., "end: agent_ended"]),
    )


def test_who_comes_back_in_time_is_not_abandoned_later():
    call = begun().after((1000, GONE), (2000, BACK))
    assert "resume" not in call.timers
    call.timers["resume"] = 3000
    call.play((3000, timer("resume"), []))


def test_the_caller_may_hang_up_or_be_hung_up_on_while_away():
    begun().after((1000, GONE)).play((1500, ev.HungUp(), [..., "end: caller_hung_up"]))


def test_silence_is_not_counted_while_nobody_is_there():
    begun(idle_ms=15_000).play(
        (1000, GONE, [..., "no idle"]),
        (20_000, BACK, [..., "phase listening", "idle at 35000"]),
    )


def test_a_floor_that_comes_free_meanwhile_prompts_nobody():
    call = begun(idle_ms=5_000).after((1000, typed("Hm")), (1100, GONE))
    call.after((1200, orders(1, "skip_answer")))
    call.play((6200, timer("idle"), []), (8000, BACK, [..., "idle at 13000"]))


def test_a_second_window_takes_the_call_over():
    answering().play(
        (3500, BACK, [
            "show 1 user: What time is it?",
            "show 2 agent in_progress: |It is four. Good night.",
            "no resume",
            ...,
            "release",
            "phase speaking",
        ]),
    )  # fmt: skip


def test_a_client_that_was_gone_goes_again():
    begun().after((1000, GONE)).play((1001, GONE, ["no idle"]))


def test_who_comes_back_into_the_end_still_gets_all_items():
    call = answered().after((6000, wants_tool(1, "a")), (6000, speech()), (6500, ev.HungUp()))
    call.play(
        (6600, GONE, ["no idle"]),
        (6700, BACK, [
            "show 1 user: What time is it?",
            "show 2 agent: It is four. Good night.",
            "phase ending",
        ]),
    )  # fmt: skip


def test_a_client_comes_and_goes_before_the_call():
    Call().play((0, BACK, []), (0, GONE, ["no idle"]))


def test_tools_finish_while_nobody_is_there():
    asked().after((3000, wants_tool(1, "a")), (3010, made(1)), (3100, GONE)).play(
        (3200, tool_done("a"), [..., "answer 1: user What time is it? / tool ok", ...]),
    )


def test_an_interruption_is_settled_though_its_client_has_gone():
    answering().after((3500, speech()), (3600, GONE)).play(
        (3900, timer("cut"), ["no cut", "settle 1 at 300", ...]),
        (3950, cut(1, 350), []),
    )


def test_an_answer_without_sound_is_over_when_the_client_is_back():
    asked().after((2950, GONE), (3000, words(1, "Four.")), (3010, made(1)), (8000, BACK)).play(
        (8001, heard_out(1), ["settle 1 at 0", "store 2 agent: Four.", ...])
    )


# What is shown is stored


def test_an_item_is_shown_once_its_latest_revision_is_stored():
    call = answering().after((4250, speech()), (4300, cut(1, 1180)))
    call.play(
        (4310, stored(2, 0), []),
        (4320, stored(2, 2), []),
        (4330, stored(2, 1), ["show 2 agent interrupted: It is four.| Good night."]),
        (4340, stored(2, 1), []),
        (4350, stored(9, 0), []),
        (4360, stored(0, 0), []),
        (4370, stored(-1, 0), []),
    )


def test_who_comes_back_sees_only_what_is_stored():
    call = begun().after((1000, typed("Hello")), (1100, GONE))
    call.play(
        (1200, BACK, ["no resume", "release", "phase thinking"]),
        (1300, stored(1), ["show 1 user: Hello"]),
        (1400, BACK, ["show 1 user: Hello", ...]),
    )
