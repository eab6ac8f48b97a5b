"""Stories of tools and of what an answer orders beside its words."""

import pytest

from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus
from tests.doubles.story import (
    answering,
    asked,
    begun,
    cut,
    heard_out,
    made,
    orders,
    sent,
    silence,
    sound,
    speech,
    timer,
    tool_done,
    typed,
    understood,
    wants_tool,
    words,
)

ASKED = "user What time is it?"


# Tools


def test_one_tool():
    call = asked()
    call.play(
        (3000, wants_tool(1, "a", "clock"), [
            "store 2 tool clock in_progress: ",
            "tool a runs",
            'run a clock{}',
        ]),
        (3010, made(1), []),
        (3500, tool_done("a", "16:00"), [
            "store 2 tool clock: 16:00",
            "tool a is done",
            f"answer 1: {ASKED} / tool 16:00",
            "response_wait at 23500",
        ]),
        (3600, words(1, "It is four."), ["show text 1 from 0: It is four."]),
        (3700, sound(1, 1000), ["sound 1: 1000"]),
        (3710, made(1), [..., "finish 1"]),
        (4710, heard_out(1), [..., "phase listening"]),
    )  # fmt: skip
    item = call.state.items[1]
    assert (item.tool_call_id, item.arguments, item.started_ms, item.ended_ms) == ("a", "{}", 3000, 3500)  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "gap"),
    [
        ("One moment.", "It is four.", " "),
        ("One moment. ", "It is four.", ""),
        ("One moment.", " It is four.", ""),
        ("お待ちください。", "四時です。", ""),
        ("One moment.", "", ""),
    ],
)
def test_words_before_a_tool_and_after_it_are_parted(before, after, gap):
    call = asked()
    call.play(
        (3000, words(1, before), [f"show text 1 from 0: {before}"]),
        (3050, sound(1, 500), ["sound 1: 500"]),
        (3100, wants_tool(1, "a", "clock"), [...]),
        (3110, made(1), []),
        (3500, tool_done("a", "16:00"), [...]),
        (3600, words(1, after), [f"show text 1 from 500: {gap}{after}"]),
        (3700, sound(1, 1000), ["sound 1: 1000"]),
        (3710, made(1), [..., "finish 1"]),
        (5210, heard_out(1), [...]),
    )
    assert call.state.items[-1].text == before + gap + after


def test_a_tool_that_is_done_before_the_model_is():
    asked().play(
        (3000, wants_tool(1, "a"), [...]),
        (3100, tool_done("a"), ["store 2 tool book: ok", "tool a is done"]),
        (3200, made(1), [f"answer 1: {ASKED} / tool ok", "response_wait at 23200"]),
    )


def test_several_tools_are_waited_for_one_and_all():
    asked().play(
        (3000, wants_tool(1, "a"), [...]),
        (3000, wants_tool(1, "b"), [...]),
        (3000, wants_tool(1, "a"), []),
        (3010, made(1), []),
        (3400, tool_done("b", "B"), ["store 3 tool book: B", "tool b is done"]),
        (3500, tool_done("b", "B"), []),
        (3500, tool_done("c", "C"), []),
        (3600, tool_done("a", "A"), [..., f"answer 1: {ASKED} / tool A / tool B", ...]),
    )


def test_a_tool_that_failed_is_told_to_the_model_too():
    asked().play(
        (3000, wants_tool(1, "a"), [...]),
        (3010, made(1), []),
        (3400, tool_done("a", "no", failed=True), [
            "store 2 tool book failed: no",
            "tool a failed",
            f"answer 1: {ASKED} / tool no",
            ...,
        ]),
    )  # fmt: skip


def test_the_model_knows_what_it_said_before_it_went_to_its_tools():
    call = asked()
    call.play(
        (3000, words(1, "One moment."), [...]),
        (3010, sound(1, 800), [...]),
        (3020, wants_tool(1, "a"), [...]),
        (3030, made(1), []),
        (3400, tool_done("a", "16:00"), [
            ...,
            f"answer 1: {ASKED} / agent One moment. / tool 16:00",
            ...,
        ]),
        (3500, words(1, " It is four."), ["show text 1 from 800:  It is four."]),
        (3510, sound(1, 900), [...]),
        (3520, made(1), ["store 3 agent in_progress: |One moment. It is four.", ...]),
        (5200, heard_out(1), [..., "store 3 agent: One moment. It is four.", ...]),
    )  # fmt: skip


def test_the_last_round_is_without_tools_and_none_is_run_in_it():
    call = asked(max_tool_rounds=2)
    for round_, at_ms in enumerate((3000, 4000)):
        call.after((at_ms, wants_tool(1, f"t{round_}")), (at_ms + 10, made(1)))
        told = call.happens(at_ms + 100, tool_done(f"t{round_}"))
        assert any(s.startswith("answer 1 without tools") for s in told) == (round_ == 1)
    call.play(
        (5000, wants_tool(1, "t2"), []),
        (5010, made(1), ["no response_wait", "finish 1"]),
    )


def test_an_agent_without_tool_rounds_has_no_tools_at_all():
    asked(max_tool_rounds=0).play((3000, wants_tool(1, "a"), []))
    assert f"answer 1 without tools: {ASKED}" in asked(max_tool_rounds=0).sentences


def test_a_tool_may_take_longer_than_an_answer():
    asked(response_wait_ms=5_000).play(
        (3000, wants_tool(1, "a"), [...]),
        (3010, made(1), []),
        (7900, timer("response_wait"), ["response_wait at 12900"]),
        (12_900, timer("response_wait"), ["response_wait at 17900"]),
        (13_000, tool_done("a"), [..., "response_wait at 18000"]),
    )


def test_a_tool_that_finishes_after_an_interruption_is_in_the_next_answer():
    call = asked()
    call.play(
        (3000, words(1, "One moment."), [...]),
        (3010, sound(1, 800), [...]),
        (3020, wants_tool(1, "a"), [...]),
        (3030, made(1), []),
        (3400, speech(), ["clear 1", ...]),
        (3450, cut(1, 390), [..., "store 3 agent interrupted: One| moment.", ...]),
        (3900, tool_done("a", "16:00"), ["store 2 tool book: 16:00", "tool a is done"]),
        (4000, silence(3900), [...]),
        (4500, timer("endpoint"), [...]),
        (4700, understood("Hurry"), [..., f"answer 2: {ASKED} / tool 16:00 / agent One / user Hurry", ...]),
    )  # fmt: skip


def test_an_answer_broken_off_by_a_noise_waits_for_its_tools_before_it_is_made_anew():
    """Else it would use them a second time: two tables for one caller."""
    call = asked(idle_ms=15_000)
    call.play(
        (3000, wants_tool(1, "a"), [...]),
        (3010, wants_tool(1, "b"), [...]),
        (3020, made(1), []),
        (3400, speech(), ["clear 1", ...]),
        (3450, cut(1, 0), [...]),
        (3600, silence(3550), [...]),
        (4150, timer("endpoint"), [..., "phase thinking"]),
        (4300, understood(""), ["no stt_wait", "caption 2: ", "store turn 2:"]),
        (4400, tool_done("b", "B"), ["store 3 tool book: B", "tool b is done"]),
        (4500, tool_done("a", "A"), [
            "store 2 tool book: A",
            "tool a is done",
            f"answer 2: {ASKED} / tool A / tool B",
            "response_wait at 24500",
        ]),
    )  # fmt: skip


def test_a_caller_who_says_something_meanwhile_is_answered_without_the_tools():
    call = asked()
    call.after(
        (3000, wants_tool(1, "a")),
        (3020, made(1)),
        (3400, speech()),
        (3450, cut(1, 0)),
        (3600, silence(3550)),
        (4150, timer("endpoint")),
        (4300, understood("")),
    )
    call.play(
        (4400, typed("Never mind"), [..., f"answer 2: {ASKED} / tool / user Never mind", ...])
    )


def test_late_parts_of_an_interrupted_answer_are_nothing():
    answering().play(
        (4000, speech(), [...]),
        (4010, wants_tool(1, "a"), []),
        (4010, orders(1, "end_call"), []),
        (4010, sent(1), []),
    )


def test_a_tool_that_is_wanted_after_the_answer_was_made_is_not_run():
    answering().play((3210, wants_tool(1, "a"), []))


def test_an_ended_call_waits_for_its_tools():
    asked().play(
        (3000, wants_tool(1, "a"), [...]),
        (3100, ev.HungUp(), [..., "end at 6100", "phase ending"]),
        (3200, ev.ItemStored(item_id=2), [...]),
        (4000, tool_done("a"), ["store 2 tool book: ok", "tool a is done"]),
        (4010, ev.ItemStored(item_id=2, revision=1), [..., "end: caller_hung_up"]),
    )


def test_an_ended_call_does_not_wait_for_ever_for_its_tools():
    call = asked().after((3000, wants_tool(1, "a")), (3100, ev.HungUp()))
    call.play(
        (6100, timer("end"), ["store 2 tool book failed: ", "no end", "end: caller_hung_up"]),
    )
    assert call.state.items[1].ended_ms == 6100


# Directions


def test_the_call_ends_once_the_goodbye_was_heard():
    asked().play(
        (3000, words(1, "Good bye."), [...]),
        (3010, orders(1, "end_call"), []),
        (3015, orders(1, "end_call"), []),
        (3020, sound(1, 900), [...]),
        (3030, made(1), [..., "finish 1"]),
        (3035, ev.ItemStored(item_id=2), [...]),
        (3950, heard_out(1), [
            "settle 1 at 900",
            "store 2 agent: Good bye.",
            ...,
            "end at 6950",
            "phase ending",
        ]),
        (3960, ev.ItemStored(item_id=2, revision=1), [
            "show 2 agent: Good bye.",
            "no end",
            "end: agent_ended",
        ]),
        (3970, speech(), []),
        (3970, typed("Wait"), []),
    )  # fmt: skip


def test_an_end_without_words_ends_at_once():
    asked().play(
        (3000, orders(1, "end_call"), []),
        (3010, made(1), ["no response_wait", "finish 1"]),
        (3010, heard_out(1), [..., "end: agent_ended"]),
    )


def test_a_skipped_answer_says_nothing_and_is_no_interruption():
    asked(idle_ms=15_000).play(
        (3000, orders(1, "skip_answer"), [
            "clear 1",
            "cancel 1 at 0",
            "no response_wait",
            "cut at 3400",
            "no cut",
            "settle 1 at 0",
            "store turn 1: heard 0 of 0",
            "show turn 1: heard 0 of 0",
            "phase listening",
            "idle at 18000",
        ]),
    )  # fmt: skip


def test_a_skipped_answer_that_orders_the_end_ends_the_call():
    call = asked()
    call.play(
        (3000, orders(1, "end_call"), []),
        (3010, orders(1, "skip_answer"), [..., "end: agent_ended"]),
    )
    assert call.state.end_reason is EndReason.AGENT_ENDED


def test_words_taken_back_stay_on_the_record_and_leave_the_conversation():
    call = asked()
    call.play(
        (3000, orders(1, "cancel_last_user_message"), ["store 1 user cancelled: What time is it?"]),
        (3010, orders(1, "cancel_last_user_message"), []),
        (3020, orders(1, "skip_answer"), [...]),
        (4000, typed("Hello"), [..., "answer 2: user Hello", ...]),
    )
    assert call.state.items[0].status is ItemStatus.CANCELLED


def test_only_the_callers_last_words_are_taken_back():
    call = asked().after((3000, made(1)), (3010, heard_out(1)), (4000, typed("Hm")))
    call.play(
        (4100, orders(2, "cancel_last_user_message"), ["store 2 user cancelled: Hm"]),
        (4110, orders(2, "cancel_last_user_message"), []),
    )


def test_words_of_a_conversation_that_was_replaced_are_not_taken_back():
    call = asked().after(
        (3000, ev.ConversationReset(entries=())),
        (3010, ev.AnswerGiven(text="Hello.")),
    )
    call.play((3020, orders(2, "cancel_last_user_message"), []))


def test_nothing_can_be_taken_back_when_nothing_was_said():
    begun(generate_first=True).play((10, orders(1, "cancel_last_user_message"), []))


@pytest.mark.parametrize("direction", list(ev.Direction))
def test_directions_of_another_answer_are_nothing(direction):
    asked().play((3000, orders(7, direction), []))
