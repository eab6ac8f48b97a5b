"""Stories of taking turns: who begins, who has finished, who was understood."""

import pytest

from calls.domain import events as ev
from calls.domain.items import Source
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
    partly,
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

# The first message


def test_the_agent_begins_with_fixed_words():
    Call(first_message="Hello.", max_call_ms=900_000, idle_ms=15_000).play(
        (0, ev.CallStarted(), [
            "max_call at 900000",
            "say 1: Hello.",
            "response_wait at 20000",
            "phase thinking",
            "no idle",
        ]),
        (80, words(1, "Hello."), ["show text 1 from 0: Hello."]),
        (100, sound(1, 600), ["sound 1: 600"]),
        (101, sent(1), ["phase speaking"]),
        (110, made(1), [
            "store 1 agent in_progress: |Hello.",
            "no response_wait",
            "finish 1",
        ]),
        (115, stored(1), ["show 1 agent in_progress: |Hello."]),
        (310, played(1, 200, 400), ["show turn 0: heard 200 of 600"]),
        (510, played(1, 400, 200), []),
        (710, heard_out(1, 600), [
            "settle 1 at 600",
            "store 1 agent: Hello.",
            "store turn 0: heard 600 of 600",
            "show turn 0: heard 600 of 600",
            "phase listening",
            "idle at 15710",
        ]),
        (715, stored(1, 1), ["show 1 agent: Hello."]),
    )  # fmt: skip


def test_the_agent_begins_with_words_of_its_own():
    Call(generate_first=True).play(
        (0, ev.CallStarted(), [
            "answer 1: nothing",
            "response_wait at 20000",
            "phase thinking",
            "no idle",
        ]),
    )  # fmt: skip


def test_the_caller_begins():
    Call(idle_ms=15_000).play((0, ev.CallStarted(), ["phase listening", "idle at 15000"]))


def test_a_call_begins_once():
    begun(first_message="Hello.").play((5, ev.CallStarted(), []))


# An utterance


def test_an_utterance_from_its_first_sound_to_the_end_of_its_answer():
    begun(idle_ms=15_000).play(
        (1000, speech(), [
            "max_turn at 31000",
            "no endpoint",
            "phase hearing",
            "no idle",
        ]),
        (1000, mic(300), ["listen 300"]),
        (1020, mic(20), ["listen 20"]),
        (1400, partly("What"), ["caption 1 so far: What"]),
        (1800, partly("What time"), ["caption 1 so far: What time"]),
        (2200, silence(2000), ["endpoint at 2600"]),
        (2220, mic(20), ["listen 20"]),
        (2600, timer("endpoint"), [
            "no endpoint",
            "no max_turn",
            "commit",
            "stt_wait at 14600",
            "phase thinking",
        ]),
        (2620, mic(20), []),
        (2650, partly("What time is"), ["caption 1 so far: What time is"]),
        (2900, understood("What time is it?"), [
            "no stt_wait",
            "caption 1: What time is it?",
            "store 1 user: What time is it?",
            "answer 1: user What time is it?",
            "response_wait at 22900",
        ]),
        (2905, stored(1), ["show 1 user: What time is it?"]),
        (3000, words(1, "It is four."), ["show text 1 from 0: It is four."]),
        (3100, sound(1, 1000), ["sound 1: 1000"]),
        (3101, sent(1), ["phase speaking"]),
        (3110, words(1, " Bye."), ["show text 1 from 1000:  Bye."]),
        (3120, sound(1, 500), ["sound 1: 500"]),
        (3130, made(1), [
            "store 2 agent in_progress: |It is four. Bye.",
            "no response_wait",
            "finish 1",
        ]),
        (3140, played(1, 0, 400), []),
        (3340, played(1, 200, 400), ["show turn 1: heard 200 of 1500"]),
        (4640, heard_out(1, 1500), [
            "settle 1 at 1500",
            "store 2 agent: It is four. Bye.",
            "store turn 1: heard 1500 of 1500",
            "show turn 1: heard 1500 of 1500",
            "phase listening",
            "idle at 19640",
        ]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("noticed_ms", "last_speech_ms", "due_ms"),
    [
        pytest.param(2200, 2000, 2600, id="the deadline counts from the last speech"),
        pytest.param(2500, 2000, 2600, id="noticing late costs nothing"),
        pytest.param(2900, 2000, 2900, id="noticed too late, it is due at once"),
        pytest.param(2200, 2900, 2800, id="speech in the future counts as speech just now"),
        pytest.param(1100, 200, 1600, id="speech before the utterance counts as its beginning"),
    ],
)
def test_one_deadline_ends_a_turn(noticed_ms, last_speech_ms, due_ms):
    begun().after((1000, speech())).play(
        (noticed_ms, silence(last_speech_ms), [f"endpoint at {due_ms}"])
    )


@pytest.mark.parametrize(
    ("first_speech_ms", "started_ms"),
    [(None, 9_000), (8_900, 8_900), (4_000, 4_000), (-5, 0), (9_500, 9_000)],
)
def test_an_utterance_begins_when_it_was_spoken_however_late_it_came(first_speech_ms, started_ms):
    call = begun().after(
        (9_000, ev.SpeechStarted(first_speech_ms=first_speech_ms)),
        (9_300, silence(9_250)),
        (9_850, timer("endpoint")),
        (9_900, understood("what time is it")),
    )
    (item,) = call.state.items
    assert (item.started_ms, item.ended_ms) == (started_ms, 9_250)


def test_a_pause_for_breath_does_not_end_the_turn():
    call = begun().after((1000, speech()), (2200, silence(2000)))
    call.play(
        (2550, speech(), ["no endpoint"]),
        (3200, silence(3000), ["endpoint at 3600"]),
        (3600, timer("endpoint"), [..., "commit", ...]),
        (3900, understood("One two"), [..., "store 1 user: One two", ...]),
    )
    item = call.state.items[0]
    assert (item.started_ms, item.ended_ms, item.source) == (1000, 3000, Source.VOICE)


def test_the_longest_turn_gives_the_floor_to_the_agent_and_later_back_to_the_caller():
    begun(max_turn_ms=5_000).after((1000, speech())).play(
        (6000, timer("max_turn"), [..., "commit", ...]),
        (6020, mic(20), []),
        (6300, understood("So then I said"), [..., "answer 1: user So then I said", ...]),
        (6400, words(1, "I see."), [...]),
        (6500, sound(1, 500), ["sound 1: 500"]),
        (6510, made(1), [..., "finish 1"]),
        (7010, heard_out(1), [..., "max_turn at 12010", "no endpoint", "phase hearing"]),
        (7020, mic(20), ["listen 20"]),
        (8000, silence(7900), ["endpoint at 8500"]),
        (8500, timer("endpoint"), [..., "commit", ...]),
    )  # fmt: skip


def test_a_noise_that_never_ends_does_not_hold_the_floor_for_ever():
    begun(max_turn_ms=5_000, idle_ms=15_000).after((1000, speech())).play(
        (6000, timer("max_turn"), [..., "commit", ...]),
        (6300, understood(""), [..., "say 1: Sorry, I did not catch that.", ...]),
        (6400, made(1), [..., "finish 1"]),
        (6410, heard_out(1), [..., "phase listening", "idle at 21410"]),
        (6420, mic(20), []),
    )  # fmt: skip


def test_speech_that_outlasts_its_turn_and_ends_meanwhile_is_not_waited_for():
    begun(max_turn_ms=5_000).after((1000, speech())).play(
        (6000, timer("max_turn"), [..., "commit", ...]),
        (6100, silence(6050), []),
        (6300, understood("So"), [..., "answer 1: user So", ...]),
        (6400, made(1), [..., "finish 1"]),
        (6410, heard_out(1), [..., "phase listening"]),
    )  # fmt: skip


def test_a_long_turn_that_had_paused_is_simply_over():
    call = begun(max_turn_ms=5_000).after((1000, speech()), (5800, silence(5600)))
    call.play((6000, timer("max_turn"), [..., "commit", ...]))
    assert call.state.awaiting[0].timings.speech_stopped_ms == 5600
    assert not call.state.unheeded


# Understood, or not


def test_blanks_are_nothing_understood():
    begun().after((1000, speech()), (2200, silence(2000)), (2600, timer("endpoint"))).play(
        (2900, understood("  \n"), [
            "no stt_wait",
            "caption 1: ",
            "store turn 1:",
            "say 1: Sorry, I did not catch that.",
            "response_wait at 22900",
        ]),
    )  # fmt: skip


def test_a_short_noise_is_passed_over():
    begun().after((1000, speech()), (1400, silence(1300)), (1900, timer("endpoint"))).play(
        (2000, understood(""), ["no stt_wait", "caption 1: ", "store turn 1:", "phase listening"])
    )


def miss(call: Call, from_ms: int, *, lasts_ms: int) -> list[str]:
    """An utterance of which nothing is understood; what follows, the apology heard out."""
    end_ms = from_ms + lasts_ms
    call.after(
        (from_ms, speech()), (end_ms, silence(end_ms)), (end_ms + 600, timer("endpoint"))
    )  # fmt: skip
    told = call.happens(end_ms + 700, understood(""))
    if (now := call.state.response) is not None:
        call.after(
            (end_ms + 710, made(now.response_id)), (end_ms + 720, heard_out(now.response_id))
        )
    return [sentence for sentence in told if sentence.startswith("say")]


def test_the_agent_says_twice_in_a_row_that_it_understood_nothing():
    call = begun()
    said = [miss(call, start_ms, lasts_ms=900) for start_ms in (1000, 5000, 9000)]
    assert [bool(s) for s in said] == [True, True, False]
    call.after(
        (13_000, speech()),
        (14_000, silence(14_000)),
        (14_600, timer("endpoint")),
        (14_700, understood("Hello")),
        (14_800, made(3)),
        (14_810, heard_out(3)),
    )
    assert miss(call, 17_000, lasts_ms=900)


def test_half_a_second_is_an_utterance():
    assert miss(begun(), 1000, lasts_ms=500)
    assert not miss(begun(), 1000, lasts_ms=499)


def test_short_noises_do_not_use_up_the_agents_excuses():
    call = begun()
    assert not any(miss(call, start_ms, lasts_ms=100) for start_ms in (1000, 4000, 7000))
    assert miss(call, 10_000, lasts_ms=900)


def test_a_transcript_that_nobody_waits_for_changes_nothing():
    begun().play((10, understood("Hello"), []), (11, partly("Hel"), []))


def test_the_caller_goes_on_while_the_first_part_is_still_being_understood():
    call = begun().after((1000, speech()), (2200, silence(2000)), (2600, timer("endpoint")))
    call.play(
        (2700, speech(), ["max_turn at 32700", "no endpoint", "phase hearing"]),
        (2900, understood("I want"), [
            "no stt_wait",
            "caption 1: I want",
            "store turn 1:",
            "store 1 user: I want",
        ]),
        (3000, partly("a"), ["caption 2 so far: a"]),
        (3700, silence(3600), ["endpoint at 4200"]),
        (4200, timer("endpoint"), [..., "commit", "stt_wait at 16200", "phase thinking"]),
        (4500, understood("a table"), [
            "no stt_wait",
            "caption 2: a table",
            "store 2 user: a table",
            "answer 1: user I want / user a table",
            "response_wait at 24500",
        ]),
    )  # fmt: skip
    places = [(i.turn, i.started_ms, i.ended_ms) for i in call.state.items]
    assert places == [(1, 1000, 2000), (2, 2700, 3600)]


def test_two_turns_are_understood_in_their_order():
    call = begun().after(
        (1000, speech()),
        (2200, silence(2000)),
        (2600, timer("endpoint")),
        (2700, speech()),
        (3700, silence(3600)),
        (4200, timer("endpoint")),
    )
    call.play(
        (4300, understood("I want"), [
            "caption 1: I want",
            "store turn 1:",
            "store 1 user: I want",
        ]),
        (4500, understood(""), [
            "no stt_wait",
            "caption 2: ",
            "store turn 2:",
            "answer 1: user I want",
            "response_wait at 24500",
        ]),
    )  # fmt: skip
    assert call.state.items[0].started_ms == 1000


def test_the_caller_adds_something_before_the_answer_has_words():
    """Nothing was taken from the caller's ear: no interruption on the record."""
    asked("I want").play(
        (2950, speech(), [
            "clear 1",
            "cancel 1 at 0",
            "no response_wait",
            "cut at 3350",
            "max_turn at 32950",
            "no endpoint",
            "phase hearing",
        ]),
        (3350, timer("cut"), [
            "no cut",
            "settle 1 at 0",
            "store turn 1: heard 0 of 0",
            "show turn 1: heard 0 of 0",
        ]),
        (3900, silence(3800), ["endpoint at 4400"]),
        (4400, timer("endpoint"), [..., "commit", ...]),
        (4700, understood("a table"), [..., "answer 2: user I want / user a table", ...]),
    )  # fmt: skip


# Typed words


def test_typed_words_are_a_turn():
    call = begun(idle_ms=15_000)
    call.play(
        (1000, typed("Hello"), [
            "store 1 user: Hello",
            "answer 1: user Hello",
            "response_wait at 21000",
            "phase thinking",
            "no idle",
        ]),
    )  # fmt: skip
    assert call.state.items[0].source is Source.TEXT


def test_typed_words_interrupt_the_agent_and_settle_at_once_what_was_heard():
    answering().play(
        (4250, typed("Stop"), [
            "clear 1",
            "cancel 1 at 400",
            "no response_wait",
            "cut at 4650",
            "no cut",
            "settle 1 at 400",
            "store 2 agent interrupted: It| is four. Good night.",
            ...,
            "store 3 user: Stop",
            "answer 2: user What time is it? / agent It / user Stop",
            "response_wait at 24250",
            "phase thinking",
        ]),
        (4300, cut(1, 1050), []),
    )  # fmt: skip


def test_typed_words_while_the_caller_speaks_belong_to_the_same_turn():
    call = begun().after((1000, speech()), (1400, partly("My")))
    call.play(
        (1500, typed("AB12"), ["store 1 user: AB12"]),
        (1600, partly("My number"), ["caption 1 so far: My number"]),
        (2200, silence(2000), ["endpoint at 2600"]),
        (2600, timer("endpoint"), [..., "commit", ...]),
        (2900, understood("My number"), [
            ...,
            "store 2 user: My number",
            "answer 1: user AB12 / user My number",
            "response_wait at 22900",
        ]),
    )  # fmt: skip
    assert [item.turn for item in call.state.items] == [1, 1]


def test_typed_words_are_answered_though_the_voice_was_not_understood():
    begun().after((1000, speech()), (1500, typed("AB12")), (2200, silence(2000))).play(
        (2600, timer("endpoint"), [..., "commit", ...]),
        (2900, understood(""), [..., "answer 1: user AB12", "response_wait at 22900"]),
    )


def test_typed_words_wait_for_a_transcript_on_its_way():
    begun().after((1000, speech()), (2200, silence(2000)), (2600, timer("endpoint"))).play(
        (2700, typed("AB12"), ["store 1 user: AB12"]),
        (2900, understood("My number"), [
            "no stt_wait",
            "caption 1: My number",
            "store turn 1:",
            "store 2 user: My number",
            "answer 1: user AB12 / user My number",
            "response_wait at 22900",
        ]),
    )  # fmt: skip


def test_typed_words_before_the_call_are_nothing():
    Call().play((0, typed("Hello"), []))


# Push-to-talk


def test_a_released_button_ends_the_turn_at_once():
    call = begun()
    call.play(
        (1000, ev.TalkStarted(), [..., "phase hearing", "no idle"]),
        (1020, mic(20), ["listen 20"]),
        (2000, ev.TalkStopped(), [
            "no endpoint",
            "no max_turn",
            "commit",
            "stt_wait at 14000",
            "phase thinking",
        ]),
        (2001, ev.TalkStopped(), []),
    )  # fmt: skip
    assert call.state.awaiting[0].timings.speech_stopped_ms == 2000


def test_a_pressed_button_interrupts():
    answering().play((3700, ev.TalkStarted(), ["clear 1", "cancel 1 at 400", ...]))


# Mute


def test_muting_ends_the_utterance_like_falling_silent():
    begun().after((1000, speech())).play(
        (2000, ev.Muted(muted=True), ["endpoint at 2600"]),
        (2600, timer("endpoint"), [..., "commit", ...]),
    )


def test_muting_in_silence_and_unmuting_change_nothing():
    begun().play((1000, ev.Muted(muted=True), []), (2000, ev.Muted(muted=False), []))


def test_a_button_released_after_muting_ends_the_turn_where_the_speech_ended():
    call = begun().after((1000, ev.TalkStarted()), (2000, ev.Muted(muted=True)))
    call.play((2300, ev.TalkStopped(), [..., "commit", ...]))
    assert call.state.awaiting[0].timings.speech_stopped_ms == 2000


# An agent that may not be interrupted


def test_speech_does_not_stop_it_and_is_taken_in_when_it_has_finished():
    answering(interruptible=False).play(
        (4000, speech(), []),
        (4020, mic(20), []),
        (5200, heard_out(1), [
            "settle 1 at 2000",
            "store 2 agent: It is four. Good night.",
            ...,
            "max_turn at 35200",
            "no endpoint",
            "phase hearing",
        ]),
        (5220, mic(20), ["listen 20"]),
        (6000, silence(5900), ["endpoint at 6500"]),
    )  # fmt: skip


def test_the_caller_may_add_something_before_it_has_begun_to_answer():
    begun(interruptible=False).after((1000, speech()), (2200, silence(2000))).play(
        (2600, timer("endpoint"), [..., "commit", ...]),
        (2700, speech(), [..., "phase hearing"]),
    )


@pytest.mark.parametrize(
    "over", [silence(4500), ev.TalkStopped(), ev.Muted(muted=True)], ids=lambda e: type(e).__name__
)
def test_speech_that_ended_before_it_did_is_gone(over):
    answering(interruptible=False).play(
        (4000, speech(), []),
        (4600, over, []),
        (5200, heard_out(1), [..., "phase listening"]),
    )


def test_what_is_typed_meanwhile_is_answered_afterwards():
    answering(interruptible=False).play(
        (4000, typed("And the date?"), ["store 3 user: And the date?"]),
        (5200, heard_out(1), [
            ...,
            "answer 2: user What time is it? / agent It is four. Good night. / user And the date?",
            "response_wait at 25200",
            "phase thinking",
        ]),
    )  # fmt: skip


# What code on our side says and changes


def test_given_words_take_the_place_of_what_the_agent_says():
    call = answering()
    call.play(
        (3700, ev.AnswerGiven(text="Your taxi is here.", metadata='{"taxi": 7}'), [
            "clear 1",
            "cancel 1 at 400",
            ...,
            "store 2 agent interrupted: It| is four. Good night.",
            ...,
            "say 2: Your taxi is here.",
            "response_wait at 23700",
            "phase thinking",
        ]),
        (3800, words(2, "Your taxi is here."), [...]),
        (3900, made(2), [...]),
    )  # fmt: skip
    assert call.state.items[-1].metadata == {"taxi": 7}


def test_given_words_let_the_caller_finish_and_be_answered():
    given = ev.AnswerGiven(text="Your taxi is here.")
    begun().after((1000, speech())).play(
        (1500, given, []),
        (2200, silence(2000), ["endpoint at 2600"]),
        (2600, timer("endpoint"), [..., "commit", ...]),
        (2650, ev.AnswerGiven(text="It is red."), []),
        (2900, understood("What time is it?"), [..., "answer 1: user What time is it?", ...]),
        (3000, made(1), [...]),
        (3010, heard_out(1), [..., "say 2: Your taxi is here.", "response_wait at 23010"]),
        (3100, made(2), [...]),
        (3110, heard_out(2), [..., "say 3: It is red.", "response_wait at 23110"]),
    )  # fmt: skip


def test_given_words_out_of_the_silence_are_a_turn_of_their_own():
    call = answered().after((6000, ev.AnswerGiven(text="Your taxi is here.")))
    assert "say 2: Your taxi is here." in call.sentences
    assert call.state.turn == 2


@pytest.mark.parametrize(
    "metadata",
    ["", "[1]", "no JSON", '{"a": NaN}', '{"a": 1e999}', "[" * 100_000],
    ids=["none", "a list", "no JSON", "no number", "endless", "too deep"],
)
def test_metadata_that_a_record_cannot_hold_is_left_out(metadata):
    call = begun().after((10, ev.AnswerGiven(text="Hello.", metadata=metadata)))
    assert call.state.response is not None
    assert call.state.response.metadata == {}


def test_fixed_words_can_be_given_metadata_too():
    call = begun(first_message="Hello.").after(
        (10, ev.ResponseNoted(response_id=1, metadata='{"mood": "calm"}'))
    )
    assert call.state.response is not None
    assert call.state.response.metadata == {"mood": "calm"}


def test_metadata_travels_with_the_answer():
    call = asked().after(
        (3000, words(1, "Four.")),
        (3010, ev.ResponseNoted(response_id=1, metadata='{"mood": "calm", "n": 1}')),
        (3020, ev.ResponseNoted(response_id=1, metadata='{"n": 2}')),
        (3030, ev.ResponseNoted(response_id=9, metadata='{"n": 3}')),
        (3040, made(1)),
    )
    assert call.state.items[-1].metadata == {"mood": "calm", "n": 2}
    call.after((3050, heard_out(1)))
    assert call.state.items[-1].metadata == {"mood": "calm", "n": 2}


def test_given_words_before_the_call_or_at_its_end_are_not_said():
    Call().play((0, ev.AnswerGiven(text="Hello."), []))
    begun().after((1000, speech()), (1500, ev.HungUp())).play(
        (1600, ev.AnswerGiven(text="Hello."), [])
    )


def test_a_new_conversation_takes_the_place_of_the_one_the_model_sees():
    call = answering()
    call.play(
        (3700, ev.ConversationReset(entries=(("user", "Hi"), ("agent", "Yes?"))), [
            "clear 1",
            "cancel 1 at 400",
            ...,
            "store 2 agent interrupted: It| is four. Good night.",
            ...,
            "reset: None",
            "phase listening",
        ]),
        (4000, typed("Go on"), [..., "answer 2: user Hi / agent Yes? / user Go on", ...]),
    )  # fmt: skip
    assert len(call.state.items) == 3, "the record keeps all of it"


def test_a_new_conversation_owes_no_answer_to_the_former_one():
    answering(interruptible=False).play(
        (4000, typed("And the date?"), ["store 3 user: And the date?"]),
        (4100, ev.ConversationReset(entries=(), system_prompt="Be brief."), [
            ...,
            "reset: Be brief.",
            "phase listening",
        ]),
    )  # fmt: skip


def test_a_new_conversation_can_be_given_before_the_call():
    Call(generate_first=True).play(
        (0, ev.ConversationReset(entries=(("user", "Hi"),)), ["reset: None"]),
        (0, ev.CallStarted(), ["answer 1: user Hi", ...]),
    )


# What comes at the wrong time


@pytest.mark.parametrize(
    "name", ["endpoint", "max_turn", "stt_wait", "cut", "resume", "end", "one of tomorrow's"]
)
def test_a_timer_that_fires_for_nothing_changes_nothing(name):
    call = answered()
    before = call.state
    call.timers[name] = 9000
    call.play((9000, timer(name), []))
    assert call.state == before


def test_speech_is_nothing_before_the_call_and_no_news_while_it_goes_on():
    Call().play((0, speech(), []))
    begun().after((1000, speech())).play((1100, speech(), []), (1200, ev.TalkStarted(), []))
