"""Stories of entries that a client puts in and takes out, and of what it says was heard."""

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.conversation import split_recorded
from calls.domain.items import Item, ItemStatus, Mark, Role, Source
from tests.doubles.story import (
    Call,
    answered,
    answering,
    asked,
    begun,
    cut,
    fails,
    gives,
    heard,
    heard_out,
    made,
    played,
    removes,
    sent,
    silence,
    sound,
    speech,
    stored,
    timer,
    tool_done,
    typed,
    understood,
    wants_answer,
    wants_tool,
    words,
)

ASKED = "user What time is it?"


def agent_item(call: Call) -> Item:
    return next(i for i in call.state.items if i.role is Role.AGENT)


# Put in


@pytest.mark.parametrize("role", ["user", "agent", "system"])
@pytest.mark.parametrize("answers", [True, False])
def test_an_entry_is_stored_and_answers_nothing(role, answers):
    call = begun(answers=answers)
    told = call.happens(1000, gives(role, "Be brief.", "item_1"))
    assert [s for s in told if not s.startswith("no ")] == [f"store 1 {role}: Be brief."]
    (item,) = call.state.items
    assert (item.source, item.ref, item.status) == (Source.CLIENT, "item_1", ItemStatus.COMPLETE)
    assert (item.started_ms, item.ended_ms) == (1000, 1000)


def test_the_model_sees_entries_in_their_place():
    call = begun(answers=False).after(
        (100, gives("system", "Be brief.")),
        (110, gives("user", "Hi")),
        (120, gives("agent", "Hello.")),
        (130, gives("user", "What time is it?")),
    )
    call.play((200, wants_answer(), ["answer 1: system Be brief. / user Hi / agent Hello. / user What time is it?", ...]))  # fmt: skip


def test_an_earlier_conversation_has_its_turns():
    call = begun(answers=False).after(
        (100, gives("system", "Be brief.")),
        (110, gives("user", "Hi")),
        (120, gives("agent", "Hello.")),
        (130, gives("user", "What")),
        (135, gives("user", "time is it?")),
        (140, wants_answer()),
        (150, words(1, "Four.")),
        (160, made(1)),
        (170, heard_out(1)),
    )
    assert [item.turn for item in call.state.items] == [0, 1, 1, 2, 2, 2]
    assert "store turn 1:" in call.sentences
    assert "store turn 2: heard 0 of 0" in call.sentences


def test_an_entry_interrupts_nothing():
    answering().play(
        (4000, gives("user", "By the way"), ["store 3 user: By the way"]),
        (5200, heard_out(1), ["settle 1 at 2000", "store 2 agent: It is four. Good night.", ...]),
    )


def test_an_entry_while_the_caller_speaks_belongs_to_that_turn():
    call = begun().after((1000, speech()), (1500, gives("user", "My name is Ann")))
    call.after((1900, ev.TalkStopped()))
    call.play((2300, understood("Hello"), [..., "answer 1: user My name is Ann / user Hello", ...]))
    assert [item.turn for item in call.state.items] == [1, 1]


def test_an_entry_while_the_words_are_being_understood_does_not_take_their_turn():
    call = begun().after((1000, speech()), (1900, ev.TalkStopped()))
    call.after((2000, gives("user", "Also")), (2300, understood("Hello")))
    assert [item.turn for item in call.state.items] == [1, 1]
    assert call.state.response.timings.transcript_ms == 2300


def test_an_answer_put_in_while_the_words_are_being_understood_does_not_answer_them():
    call = begun(answers=False).after((1000, speech()), (1900, ev.TalkStopped()))
    call.after((2000, gives("agent", "One moment.")), (2300, understood("Hello")))
    call.after((2400, wants_answer()))
    assert call.state.response.turn == 1


def test_words_of_the_agent_count_as_heard():
    call = begun().after((100, gives("agent", "Hello.")))
    (item,) = call.state.items
    assert (item.text, item.unheard) == ("Hello.", "")


def test_results_of_tools_are_not_given_so():
    begun().play((100, gives("tool", "4"), []))


def test_a_client_that_puts_words_in_is_there():
    call = begun(idle_ms=5_000).after((5000, timer("idle")))
    call.after((5100, made(1)), (5200, heard_out(1)))
    call.play(
        (7000, gives("user", "Hm"), ["store 1 user: Hm", "no idle", "idle at 12000"]),
        (8000, gives("system", "Be brief."), ["store 2 system: Be brief."]),
    )
    assert call.state.idle_prompts == 0


def test_an_ended_call_takes_no_entries():
    begun().after((1000, typed("Hi")), (1100, ev.HungUp())).play(
        (1200, gives("user", "Hm"), []), (1200, removes(turn=1), []), (1200, heard(1, 0), [])
    )


# Taken out


@pytest.mark.parametrize(
    ("named", "taken"),
    [
        pytest.param({"turn": 1}, "store 1 user cancelled: What time is it?", id="spoken words"),
        pytest.param({"response_id": 1}, "store 2 agent cancelled: It is four. Good night.", id="the agent's words"),
        pytest.param({"ref": "x"}, "store 3 system cancelled: Be brief.", id="an entry"),
        pytest.param({"tool_call_id": "a"}, None, id="no such tool"),
        pytest.param({"turn": 2}, None, id="no such turn"),
        pytest.param({"response_id": 2}, None, id="no such answer"),
        pytest.param({"ref": "y"}, None, id="no such entry"),
        pytest.param({}, None, id="nothing is named"),
    ],
)  # fmt: skip
def test_an_entry_that_is_removed_stays_on_the_record_alone(named, taken):
    call = answered().after((6000, gives("system", "Be brief.", "x")), (6010, gives("agent", "Hm")))
    call.play(
        (6100, removes(**named), [taken] if taken else []),
        (6200, removes(**named), []),
        (7000, wants_answer(), [...]),
    )
    shown = next(e for e in call.effects if isinstance(e, do.CreateResponse) and e.response_id == 2)
    assert len(shown.items) == (3 if taken else 4)


def test_a_name_may_be_used_again():
    call = begun().after((10, gives("user", "A", "x")), (20, removes(ref="x")))
    call.after((30, gives("user", "B", "x")))
    call.play((40, removes(ref="x"), ["store 2 user cancelled: B"]), (50, removes(ref="x"), []))


def test_words_that_are_still_being_said_are_said_and_cancelled():
    answering().play(
        (4000, removes(response_id=1), ["store 2 agent cancelled: |It is four. Good night."]),
        (5200, heard_out(1), ["settle 1 at 2000", "store 2 agent cancelled: It is four. Good night.", ...]),
        (6000, typed("Hm"), [..., f"answer 2: {ASKED} / user Hm", ...]),
    )  # fmt: skip


def test_words_that_have_no_entry_yet_get_a_cancelled_one():
    call = asked().after(
        (3000, words(1, "One moment.")), (3010, wants_tool(1, "a")), (3020, made(1))
    )
    call.play(
        (3100, removes(response_id=1), []),
        (3200, tool_done("a"), [..., f"answer 1: {ASKED} / tool ok", ...]),
        (3300, made(1), ["store 3 agent cancelled: |One moment.", ...]),
    )


def test_an_interrupted_answer_that_is_removed_does_not_come_back():
    call = answering().after((4000, speech()), (4010, removes(response_id=1)), (4050, cut(1, 300)))
    assert agent_item(call).status is ItemStatus.CANCELLED
    call.after((4300, silence(4200)), (4800, timer("endpoint")))
    call.play((5000, understood(""), [..., "store turn 2:", "phase listening"]))


def test_an_answer_that_was_to_come_back_and_is_removed_stays_away():
    call = answering().after((4000, speech()), (4050, cut(1, 300)), (4060, removes(response_id=1)))
    call.after((4300, silence(4200)), (4800, timer("endpoint")))
    call.play((5000, understood(""), [..., "store turn 2:", "phase listening"]))


def test_a_tool_that_is_removed_stays_so_when_it_is_done():
    call = asked().after((3000, wants_tool(1, "a")), (3010, made(1)))
    call.play(
        (3100, removes(tool_call_id="a"), ["store 2 tool book cancelled: "]),
        (3200, tool_done("a"), ["store 2 tool book cancelled: ok", "tool a is done", f"answer 1: {ASKED}", ...]),
    )  # fmt: skip


def test_words_that_are_removed_before_they_are_understood_are_not_answered():
    call = begun().after((1000, speech()), (1900, ev.TalkStopped()), (2000, removes(turn=1)))
    call.play((2300, understood("Hello"), [
        "no stt_wait",
        "caption 1: Hello",
        "store turn 1:",
        "store 1 user cancelled: Hello",
        "phase listening",
    ]))  # fmt: skip


def test_nothing_understood_of_words_that_are_removed_is_not_remarked_upon():
    call = begun().after((1000, speech()), (1900, ev.TalkStopped()), (2000, removes(turn=1)))
    call.play((2300, understood(""), [..., "store turn 1:", "phase listening"]))


def test_of_two_who_wait_one_is_still_answered():
    call = begun(interruptible=False, first_message="Hello.").after(
        (100, sound(1, 5000)),
        (110, made(1)),
        (200, typed("One")),
        (300, typed("Two")),
    )
    call.after((350, gives("user", "C", "c")))
    call.play((400, removes(ref="c"), ["store 3 user cancelled: C"]))
    assert call.state.unanswered
    call.play((5100, heard_out(1), [..., "answer 2: user One / user Two", ...]))


def test_an_answer_is_not_given_to_words_that_were_taken_out():
    call = begun(answers=False).after(
        (1000, speech()), (1900, ev.TalkStopped()), (2300, understood("Hello"))
    )
    call.play((2400, removes(turn=1), ["store 1 user cancelled: Hello"]))
    assert not call.state.unanswered


# Heard


def test_the_client_knows_better_than_the_guess():
    answering().after((3400, played(1, 200, 400)), (3700, speech())).play(
        (3750, heard(1, 300), ["no cut", "settle 1 at 300", "store 2 agent interrupted: It| is four. Good night.", ...]),
    )  # fmt: skip


def test_an_answer_ends_where_the_client_says():
    answering().play(
        (4000, heard(1, 700), [
            "clear 1",
            "cancel 1 at 400",
            "no response_wait",
            "cut at 4400",
            "no cut",
            "settle 1 at 700",
            "store 2 agent interrupted: It is| four. Good night.",
            "store turn 1: heard 700 of 2000 interrupted",
            "show turn 1: heard 700 of 2000 interrupted",
            "phase listening",
        ]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("heard_ms", "expected"),
    [
        pytest.param(-5, ["settle 1 at 0", "interrupted: |It is four. Good night."], id="before it began"),
        pytest.param(0, ["settle 1 at 0", "interrupted: |It is four. Good night."], id="nothing"),
        pytest.param(700, ["settle 1 at 700", "interrupted: It is| four. Good night."], id="in the first piece"),
        pytest.param(1000, ["settle 1 at 1000", "interrupted: It is four.| Good night."], id="between the pieces"),
        pytest.param(1600, ["settle 1 at 1600", "interrupted: It is four. Good| night."], id="in the second"),
        pytest.param(2000, [], id="all of it"),
        pytest.param(9000, [], id="more than there was"),
    ],
)  # fmt: skip
def test_the_record_of_an_answer_is_corrected(heard_ms, expected):
    call = answered()
    told = call.happens(9000, heard(1, heard_ms))
    assert [s.removeprefix("store 2 agent ") for s in told] == expected[::-1]
    item = agent_item(call)
    assert item.ended_ms == item.started_ms + min(max(0, heard_ms), 2000)


def test_an_answer_that_was_cut_too_early_gets_its_words_back():
    call = answering().after((4000, speech()), (4050, cut(1, 300)))
    assert call.happens(4100, heard(1, 1000)) == [
        "store 2 agent interrupted: It is four.| Good night."
    ]
    assert call.happens(4150, heard(1, 500)) == [
        "store 2 agent interrupted: It is| four. Good night."
    ]
    assert call.happens(4200, heard(1, 200))[1:] == ["settle 1 at 200"]


def test_a_correction_is_stored_and_shown():
    answered().play(
        (6000, heard(1, 1000), ["store 2 agent interrupted: It is four.| Good night.", "settle 1 at 1000"]),
        (6010, stored(2, 1), []),
        (6020, stored(2, 2), ["show 2 agent interrupted: It is four.| Good night."]),
        (7000, typed("Hm"), [..., f"answer 2: {ASKED} / agent It is four. / user Hm", ...]),
    )  # fmt: skip


def test_words_without_a_voice_were_not_heard_whatever_is_said():
    call = asked().after(
        (3000, words(1, "It is four.")),
        (3010, sound(1, 800)),
        (3020, sent(1)),
        (3030, words(1, " Good night.")),
        (3040, fails("tts", 1)),
        (3900, heard_out(1)),
    )
    assert agent_item(call).status is ItemStatus.FAILED
    call.play((4000, heard(1, 9000), []))
    call.play((4100, heard(1, 400), ["store 2 agent interrupted: It is| four. Good night.", "settle 1 at 400"]))  # fmt: skip


def test_what_a_client_says_of_an_unknown_answer_is_nothing():
    answered().play((6000, heard(7, 0), []))


def test_a_goodbye_is_not_cut_by_what_was_heard():
    call = begun(max_call_ms=5_000).after((5000, timer("max_call")))
    call.play((5100, heard(1, 0), []))


@pytest.mark.parametrize(
    ("marks", "heard_ms", "text"),
    [
        pytest.param((Mark(2, 200), Mark(5, 500), Mark(11, 950)), 480, "It", id="between words"),
        pytest.param((Mark(2, 200), Mark(5, 500), Mark(11, 950)), 500, "It is", id="at a word"),
        pytest.param((Mark(11, 1000),), 300, "It", id="by the share of time"),
        pytest.param((Mark(0, 0), Mark(11, 0)), 0, "It is four.", id="no sound at all"),
        pytest.param((), 0, "It is four.", id="no marks"),
        pytest.param((Mark(-4, -9), Mark(99, 9)), 5, "It is four.", id="marks that cannot be"),
        pytest.param((Mark(9, 100), Mark(2, 200)), 150, "It is fou", id="marks that go back"),
    ],
)
def test_a_record_is_parted_by_its_marks(marks, heard_ms, text):
    item = Item(1, Role.AGENT, "It is", 1, unheard=" four.", marks=marks)
    assert split_recorded(item, heard_ms) == (text, "It is four."[len(text) :])
