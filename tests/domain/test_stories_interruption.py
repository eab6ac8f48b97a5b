"""Stories of an agent that is interrupted: what was heard stays, the rest waits or is dropped."""

import pytest

from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus, Role
from tests.doubles.story import (
    Call,
    answering,
    asked,
    begun,
    cut,
    heard_out,
    made,
    orders,
    played,
    sent,
    silence,
    sound,
    speech,
    stored,
    timer,
    typed,
    understood,
    words,
)


def agent_items(call: Call) -> list[str]:
    return [
        f"{item.status}: {item.text}|{item.unheard}"
        for item in call.state.items
        if item.role is Role.AGENT
    ]


def test_the_ear_comes_first():
    answering().play(
        (4250, speech(), [
            "clear 1",
            "cancel 1 at 400",
            "no response_wait",
            "cut at 4650",
            "max_turn at 34250",
            "no endpoint",
            "phase hearing",
        ]),
        (4260, sound(1, 20), []),
        (4260, words(1, " And"), []),
        (4260, made(1), []),
        (4300, heard_out(1), []),
        (4320, cut(1, 1180), [
            "no cut",
            "settle 1 at 1180",
            "store 2 agent interrupted: It is four.| Good night.",
            "store turn 1: heard 1180 of 2000 interrupted",
            "show turn 1: heard 1180 of 2000 interrupted",
        ]),
        (4325, stored(2, 1), ["show 2 agent interrupted: It is four.| Good night."]),
        (4330, cut(1, 1900), []),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("heard_ms", "kept"),
    [
        pytest.param(0, "interrupted: |It is four. Good night.", id="at once: nothing"),
        pytest.param(180, "interrupted: |It is four. Good night.", id="in the first word: nothing"),
        pytest.param(700, "interrupted: It is| four. Good night.", id="mid-word: the words before"),
        pytest.param(1000, "interrupted: It is four.| Good night.", id="between the pieces"),
        pytest.param(1980, "interrupted: It is four. Good| night.", id="a moment before the end"),
        pytest.param(2000, "complete: It is four. Good night.|", id="after all: it is complete"),
        pytest.param(9999, "complete: It is four. Good night.|", id="more than there was: all"),
    ],
)
def test_barge_in_keeps_what_was_heard(heard_ms, kept):
    call = answering().after((4000, speech()), (4050, cut(1, heard_ms)))
    assert agent_items(call) == [kept]


@pytest.mark.parametrize(
    ("heard_ms", "kept"),
    [
        pytest.param(100, "|It is four.", id="before the first mark"),
        pytest.param(200, "It| is four.", id="at a mark"),
        pytest.param(480, "It| is four.", id="shortly before a mark"),
        pytest.param(700, "It is| four.", id="between marks"),
        pytest.param(990, "It is four.|", id="after the last mark"),
    ],
)
def test_word_marks_say_what_was_heard(heard_ms, kept):
    call = asked().after(
        (3000, words(1, "It is four.")),
        (3010, sound(1, 500, (2, 200), (5, 500))),
        (3020, sound(1, 500, (11, 950))),
        (3030, made(1)),
        (3040, sent(1)),
        (4000, speech()),
        (4050, cut(1, heard_ms)),
    )
    assert agent_items(call)[0].partition(": ")[2] == kept


def test_the_exact_playhead_comes_too_late():
    answering().play(
        (3400, played(1, 200, 400), [...]),
        (3500, speech(), ["clear 1", "cancel 1 at 300", ...]),
        (3900, timer("cut"), [
            "no cut",
            "settle 1 at 300",
            "store 2 agent interrupted: It| is four. Good night.",
            ...,
        ]),
        (3950, cut(1, 990), []),
    )  # fmt: skip


def test_the_guess_never_goes_beyond_what_the_client_held():
    answering().play(
        (3400, played(1, 200, 150), [...]),
        (4400, speech(), ["clear 1", "cancel 1 at 350", ...]),
    )


def test_without_any_report_nothing_counts_as_heard():
    asked().after((3000, words(1, "It is four.")), (3100, sound(1, 1000)), (3110, sent(1))).play(
        (3500, speech(), ["clear 1", "cancel 1 at 0", ...]),
    )


def test_a_report_that_goes_back_is_not_believed():
    answering().after((3400, played(1, 500, 0)), (3500, played(1, 300, 400))).play(
        (3600, speech(), ["clear 1", "cancel 1 at 500", ...]),
    )


def test_words_whose_sound_was_still_to_come_were_not_heard():
    call = asked().after(
        (3000, words(1, "It is four.")),
        (3100, sound(1, 1000)),
        (3100, sent(1)),
        (3200, words(1, " Good night.")),
        (4100, played(1, 1000)),
        (4150, speech()),
        (4200, cut(1, 1000)),
    )
    assert agent_items(call) == ["interrupted: It is four.| Good night."]


def test_a_piece_whose_sound_has_only_begun_was_heard_by_its_likely_share():
    """All of the sound so far is not all of a sentence that takes two seconds."""
    call = asked().after(
        (3000, words(1, "The train to Vienna leaves at four.")),
        (3100, sound(1, 200)),
        (3100, sent(1)),
        (3400, speech()),
        (3450, cut(1, 200)),
    )
    assert agent_items(call) == ["interrupted: The| train to Vienna leaves at four."]


def test_a_piece_that_is_complete_stays_so_while_the_next_round_is_thought():
    call = asked().after(
        (3000, words(1, "One moment.")),
        (3010, sound(1, 800)),
        (3010, sent(1)),
        (3020, ev.ToolRequested(response_id=1, tool_call_id="a", name="book", arguments="{}")),
        (3030, made(1)),
        (3900, ev.ToolFinished(tool_call_id="a", output="ok")),
        (4000, speech()),
        (4050, cut(1, 800)),
    )
    assert agent_items(call) == ["interrupted: One moment.|"]


def test_signs_of_a_spaceless_script_are_words():
    call = asked().after(
        (3000, words(1, "現在四時です。")),
        (3100, sound(1, 1400)),
        (3110, made(1)),
        (3500, speech()),
        (3550, cut(1, 700)),
    )
    assert agent_items(call) == ["interrupted: 現在四|時です。"]


def test_the_unheard_words_are_not_shown_to_the_model():
    answering().after((4250, speech()), (4300, cut(1, 400)), (5000, silence(4900))).play(
        (5500, timer("endpoint"), [..., "commit", ...]),
        (5800, understood("Wait"), [
            ...,
            "answer 2: user What time is it? / agent It / user Wait",
            ...,
        ]),
    )  # fmt: skip


def test_an_answer_of_which_nothing_was_heard_is_not_shown_to_the_model():
    answering().after((3300, speech()), (3350, cut(1, 0)), (4000, silence(3900))).play(
        (4500, timer("endpoint"), [..., "commit", ...]),
        (4800, understood("And"), [..., "answer 2: user What time is it? / user And", ...]),
    )


def test_interrupted_words_lie_where_they_were_heard():
    call = answering().after((3400, played(1, 200, 400)), (3500, speech()), (3550, cut(1, 350)))
    item = call.state.items[1]
    assert (item.started_ms, item.ended_ms) == (3200, 3550)


def test_words_that_nobody_reported_lie_where_they_were_sent():
    call = asked().after((3000, words(1, "It is four.")), (3100, sound(1, 1000)), (3110, sent(1)))
    call.after((3500, speech()), (3550, cut(1, 390)))
    item = call.state.items[1]
    assert (item.started_ms, item.ended_ms) == (3110, 3500)


def test_a_space_at_the_end_is_not_missed():
    call = asked().after(
        (3000, words(1, "It is four. ")),
        (3010, sound(1, 1000, (11, 900))),
        (3020, made(1)),
        (3950, speech()),
        (4000, cut(1, 950)),
    )
    assert agent_items(call) == ["complete: It is four.| "]


def test_what_the_agent_said_stands_before_what_interrupted_it():
    """However fast the caller is understood."""
    call = asked().after((3000, words(1, "It is four.")), (3010, sound(1, 1000)))
    call.after((3300, ev.TalkStarted()), (3400, ev.TalkStopped()), (3500, understood("Stop")))
    assert call.conversation == [
        "1 user: What time is it?",
        "2 agent interrupted: |It is four.",
        "3 user: Stop",
    ]


def test_what_comes_after_the_end_of_an_answer_is_nothing():
    answering().play((3210, words(1, " And"), []), (3210, sound(1, 20), []), (3210, made(1), []))


def test_a_playhead_of_another_answer_settles_nothing():
    answering().play(
        (3700, played(7, 300), []),
        (4000, speech(), [...]),
        (4050, cut(7, 300), []),
        (4060, sent(1), []),
    )


# False interruptions


def noise(call: Call, at_ms: int, heard_ms: int) -> list[str]:
    """Something interrupts answer 1 after `heard_ms`, and nothing is understood of it."""
    call.after(
        (at_ms, speech()),
        (at_ms + 50, cut(1, heard_ms)),
        (at_ms + 200, silence(at_ms + 150)),
        (at_ms + 750, timer("endpoint")),
    )
    return call.happens(at_ms + 1000, understood(""))


def spoken(told: list[str]) -> list[str]:
    return [sentence for sentence in told if sentence.startswith(("say", "answer"))]


@pytest.mark.parametrize(
    ("heard_ms", "follows"),
    [
        pytest.param(0, ["say 2: It is four. Good night."], id="nothing was heard: all of it"),
        pytest.param(700, ["say 2:  four. Good night."], id="mid-word: from that word on"),
        pytest.param(1000, ["say 2:  Good night."], id="between pieces: the second piece"),
        pytest.param(2000, [], id="everything was heard: nothing"),
    ],
)
def test_a_noise_is_followed_by_the_words_that_were_not_heard(heard_ms, follows):
    assert spoken(noise(answering(), 4000, heard_ms)) == follows


def test_the_words_are_said_in_the_source_and_with_the_metadata_they_had():
    call = begun().after(
        (10, ev.AnswerGiven(text="Your taxi is here.", metadata='{"taxi": 7}')),
        (20, words(1, "Your taxi is here.")),
        (30, sound(1, 1000)),
        (40, made(1)),
    )
    noise(call, 500, 400)
    response = call.state.response
    assert response is not None
    assert response.metadata == {"taxi": 7}
    assert response.script == " taxi is here."


def test_real_words_after_the_noise_are_answered_instead():
    call = answering().after((4000, speech()), (4050, cut(1, 700)), (4200, silence(4150)))
    call.play(
        (4750, timer("endpoint"), [..., "commit", ...]),
        (4800, speech(), [..., "phase hearing"]),
        (4900, understood(""), ["no stt_wait", "caption 2: ", "store turn 2:"]),
        (5800, silence(5700), [...]),
        (6300, timer("endpoint"), [..., "commit", ...]),
        (6500, understood("Stop"), [..., "answer 2: user What time is it? / agent It is / user Stop", ...]),
    )  # fmt: skip


def test_two_noises_in_a_row_do_not_lose_the_words():
    call = answering().after((4000, speech()), (4050, cut(1, 700)), (4200, silence(4150)))
    call.play(
        (4750, timer("endpoint"), [..., "commit", ...]),
        (4800, speech(), [...]),
        (4900, understood(""), [...]),
        (5000, silence(4950), [...]),
        (5550, timer("endpoint"), [..., "commit", ...]),
        (5700, understood(""), [..., "say 2:  four. Good night.", ...]),
    )


def test_an_unfinished_answer_is_made_anew():
    call = asked().after((3000, words(1, "It is")), (3010, sound(1, 400)))
    assert spoken(noise(call, 3300, 400)) == ["answer 2: user What time is it? / agent It"]


def test_an_answer_without_words_is_made_anew():
    assert spoken(noise(asked(), 2950, 0)) == ["answer 2: user What time is it?"]


def test_a_greeting_that_had_no_sound_yet_is_said_after_the_noise():
    assert spoken(noise(begun(first_message="Hello. I am Ada."), 50, 0)) == [
        "say 2: Hello. I am Ada."
    ]


def test_a_greeting_of_the_models_own_is_made_anew():
    assert spoken(noise(begun(generate_first=True), 50, 0)) == ["answer 2: nothing"]


def test_a_greeting_half_made_is_said_to_its_end():
    call = begun(first_message="Hello.  I am Ada. Who are you?").after(
        (10, words(1, "Hello. ")),
        (20, sound(1, 500)),
        (30, words(1, "I am Ada.")),
        (40, sound(1, 100)),
    )
    assert spoken(noise(call, 700, 520)) == ["say 2: I am Ada. Who are you?"]


def test_words_that_were_said_otherwise_than_given_are_not_guessed_at():
    call = begun(first_message="I owe 5 €. Good bye to you and all of your friends.").after(
        (10, words(1, "I owe five euros.")),
        (20, sound(1, 1000)),
        (30, words(1, " ")),
    )
    assert spoken(noise(call, 1500, 500)) == ["say 2:  five euros. "]


def test_an_answer_that_was_to_end_the_call_still_ends_it_after_a_noise():
    call = asked().after(
        (3000, orders(1, "end_call")),
        (3010, words(1, "Good bye now.")),
        (3020, sound(1, 1000)),
        (3030, made(1)),
    )
    noise(call, 3500, 500)
    call.play(
        (4600, made(2), [..., "finish 2"]),
        (4700, heard_out(2), [...]),
    )
    assert call.state.end_reason is EndReason.AGENT_ENDED


def test_a_goodbye_heard_to_its_end_before_the_noise_ends_the_call_too():
    call = asked().after(
        (3000, orders(1, "end_call")),
        (3010, words(1, "Good bye now.")),
        (3020, sound(1, 1000)),
        (3030, made(1)),
    )
    assert spoken(noise(call, 4030, 1000)) == ["say 2: "]
    call.after((5100, made(2)), (5110, heard_out(2)))
    assert call.state.end_reason is EndReason.AGENT_ENDED


def test_a_caller_who_has_more_to_say_keeps_the_call_alive():
    call = asked().after(
        (3000, orders(1, "end_call")),
        (3010, words(1, "Good bye now.")),
        (3020, sound(1, 1000)),
        (3030, made(1)),
        (3300, speech()),
        (3350, cut(1, 0)),
        (4000, silence(3900)),
        (4500, timer("endpoint")),
    )
    call.play((4700, understood("One more thing"), [..., "answer 2: user What time is it? / user One more thing", ...]))  # fmt: skip
    call.after((4800, made(2)), (4900, heard_out(2)))
    assert call.state.end_reason is None


def test_an_answer_that_was_skipped_does_not_come_back_after_a_noise():
    call = asked().after((3000, words(1, "Well")), (3010, orders(1, "skip_answer")))
    assert spoken(noise(call, 3500, 0)) == []


def test_a_noise_right_after_an_answer_that_ended_is_a_miss_like_any_other():
    call = answering().after((4000, speech()), (4050, cut(1, 2000)), (4900, silence(4900)))
    call.after((5500, timer("endpoint")))
    assert spoken(call.happens(5600, understood(""))) == ["say 2: Sorry, I did not catch that."]


def test_typed_words_after_an_interruption_make_the_rest_obsolete():
    call = answering().after((4000, speech()), (4050, cut(1, 700)), (4100, typed("Stop")))
    call.after((4200, silence(4150)), (4750, timer("endpoint")))
    assert spoken(call.happens(5000, understood(""))) == [
        "answer 2: user What time is it? / agent It is / user Stop"
    ]


def test_an_interruption_in_the_middle_of_another_keeps_both_on_the_record():
    call = answering()
    noise(call, 4000, 700)
    call.after(
        (5100, words(2, " four. Good night.")),
        (5110, sound(2, 1500)),
        (5120, made(2)),
        (5500, speech()),
        (5550, cut(2, 500)),
    )
    assert agent_items(call) == [
        "interrupted: It is| four. Good night.",
        "interrupted:  four.| Good night.",
    ]
    assert call.state.items[-1].status is ItemStatus.INTERRUPTED
