"""Stories of providers that fail: the caller is told, and the call goes on while that makes sense."""

import pytest

from calls.domain import events as ev
from calls.domain.items import ItemStatus, Source
from tests.doubles.story import (
    Call,
    answering,
    asked,
    begun,
    cut,
    fails,
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
    tool_done,
    typed,
    understood,
    wants_tool,
    words,
)

SORRY = "I am sorry, something went wrong on my side. Please say that again."
ASKED = "user What time is it?"


def spoken(start_ms: int = 1000, **policy: object) -> Call:
    """The caller said something that is being understood."""
    return utter(begun(**policy), start_ms)


def utter(call: Call, start_ms: int) -> Call:
    return call.after(
        (start_ms, speech()),
        (start_ms + 1000, silence(start_ms + 1000)),
        (start_ms + 1600, timer("endpoint")),
    )


def hear_out(call: Call, at_ms: int) -> list[str]:
    """The latest answer is made and heard at once."""
    response = call.state.response
    assert response is not None
    call.happens(at_ms, made(response.response_id))
    return call.happens(at_ms, heard_out(response.response_id))


# Understanding


@pytest.mark.parametrize(("busy", "code"), [(False, "stt_failed"), (True, "speech_busy")])
def test_an_utterance_cannot_be_understood(busy, code):
    call = spoken()
    call.play(
        (2900, fails("stt", busy=busy), [
            f"error {code}",
            "no stt_wait",
            "caption 1: ",
            "store turn 1: stt_failed",
            f"say 1: {SORRY}",
            "response_wait at 22900",
        ]),
        (3000, words(1, SORRY), [...]),
        (3010, made(1), [...]),
        (3020, heard_out(1), [..., "store turn 1: heard 0 of 0 stt_failed", ..., "phase listening"]),
    )  # fmt: skip
    assert call.state.items[0].source is Source.FIXED


def test_no_transcript_comes_in_time():
    spoken(stt_wait_ms=5_000).play(
        (7600, timer("stt_wait"), [
            "error stt_failed",
            "no stt_wait",
            "caption 1: ",
            "store turn 1: stt_failed",
            f"say 1: {SORRY}",
            "response_wait at 27600",
        ]),
        (7700, understood("Hello"), []),
    )  # fmt: skip


def test_no_transcript_of_two_turns_comes_in_time():
    call = utter(spoken(stt_wait_ms=5_000), 2700)
    told = call.happens(9300, timer("stt_wait"))
    assert [s for s in told if s.startswith(("error", "caption", "say"))] == [
        "error stt_failed",
        "caption 1: ",
        "error stt_failed",
        "caption 2: ",
        f"say 1: {SORRY}",
    ]


def test_the_caller_who_speaks_again_is_not_talked_over():
    call = spoken().after((2700, speech()))
    call.play((2900, fails("stt"), ["error stt_failed", ..., "store turn 1: stt_failed"]))


def test_what_was_typed_is_answered_instead_of_an_apology():
    spoken().after((2700, typed("AB12"))).play(
        (2900, fails("stt"), ["error stt_failed", ..., "answer 1: user AB12", ...])
    )


def test_ears_that_fail_while_nobody_waits_for_them_are_no_news():
    begun().play((1000, fails("stt"), []))


def test_three_failures_in_a_row_end_the_call():
    call = begun(max_failures=3)
    for start_ms in (1000, 5000, 9000):
        utter(call, start_ms).after((start_ms + 1700, fails("stt")))
        told = hear_out(call, start_ms + 2000)
    assert "phase ending" in told or told[-1] == "end: provider_failed"


def test_an_answer_in_between_makes_up_for_failures():
    call = begun(max_failures=2)
    utter(call, 1000).after((2700, fails("stt")))
    hear_out(call, 3000)
    utter(call, 5000).after((6700, understood("Hello")), (6800, words(2, "Yes?")))
    hear_out(call, 7000)
    assert call.state.failures == 0
    utter(call, 9000).after((10_700, fails("stt")))
    hear_out(call, 11_000)
    assert call.state.end_reason is None


def test_an_answer_makes_up_for_failures_though_it_was_interrupted():
    call = begun(max_failures=2)
    utter(call, 1000).after((2700, fails("stt")))
    hear_out(call, 3000)
    utter(call, 5000).after((6700, understood("Hello")), (6800, words(2, "Yes?")))
    call.after((6900, sound(2, 500)), (7000, speech()), (7050, cut(2, 100)))
    assert call.state.failures == 0


def test_an_apology_makes_up_for_nothing():
    call = begun(max_failures=2)
    utter(call, 1000).after((2700, fails("stt")), (2800, words(1, SORRY)), (2900, sound(1, 500)))
    call.after((3000, speech()), (3050, cut(1, 100)))
    assert call.state.failures == 1


# Thinking


def test_no_answer_can_be_thought():
    call = asked()
    call.play(
        (3000, fails("llm", 1), [
            "error llm_failed",
            f"say 1: {SORRY}",
            "response_wait at 23000",
        ]),
        (3100, words(1, SORRY), [...]),
        (3110, sound(1, 2000), ["sound 1: 2000"]),
        (3120, made(1), [..., "finish 1"]),
        (5200, heard_out(1), [..., "store turn 1: heard 2000 of 2000 llm_failed", ...]),
    )  # fmt: skip
    assert call.state.items[1].source is Source.FIXED


def test_what_was_said_before_the_failure_stays_said():
    call = asked().after(
        (3000, words(1, "It is ")),
        (3010, sound(1, 400)),
        (3020, fails("llm", 1)),
        (3100, words(1, SORRY)),
        (3110, sound(1, 2000)),
        (3120, made(1)),
    )
    assert call.state.items[1].unheard == f"It is {SORRY}"
    assert call.state.items[1].source is Source.MODEL


def test_the_record_names_who_thought_and_who_spoke_even_if_an_apology_follows():
    call = asked().after(
        (3000, words(1, "It is ")),
        (3010, sound(1, 400)),
        (3020, fails("llm", 1)),
        (3100, ev.ResponseText(response_id=1, text=SORRY)),
        (3110, ev.ResponseAudio(response_id=1, pcm=bytes(960))),
    )
    assert call.state.response is not None
    assert (call.state.response.llm, call.state.response.tts) == ("mind", "voice")


def test_the_words_before_the_failure_are_complete():
    call = asked().after(
        (3000, words(1, "It is ")),
        (3010, sound(1, 400)),
        (3020, fails("llm", 1)),
        (3500, speech()),
        (3550, cut(1, 400)),
    )
    assert call.state.items[1].text == "It is "


def test_tools_of_an_answer_that_failed_are_not_waited_for():
    asked().play(
        (3000, wants_tool(1, "a"), [...]),
        (3010, fails("llm", 1), ["error llm_failed", f"say 1: {SORRY}", ...]),
        (3100, made(1), ["no response_wait", "finish 1"]),
        (3200, tool_done("a"), ["store 2 tool book: ok", "tool a is done"]),
    )


def test_the_apology_fails_too():
    asked().play(
        (3000, fails("llm", 1), [...]),
        (3100, fails("llm", 1), ["error llm_failed", ..., "end: provider_failed"]),
    )


def test_a_worn_out_mind_apologises_and_ends_the_call():
    call = asked(max_failures=1).after((3000, fails("llm", 1)))
    assert hear_out(call, 3100)[-1] == "end: provider_failed"


def test_failures_of_another_answer_are_no_news():
    asked().play(
        (3000, fails("llm", 7), []),
        (3000, fails("llm"), []),
        (3000, fails("tts", 7), []),
    )
    answering().play((3210, fails("llm", 1), []))


def test_no_answer_comes_in_time():
    call = asked(response_wait_ms=5_000)
    call.play(
        (7900, timer("response_wait"), [
            "error llm_failed",
            "clear 1",
            "cancel 1 at 0",
            "no response_wait",
            "cut at 8300",
            "no cut",
            "settle 1 at 0",
            "store turn 1: heard 0 of 0",
            "show turn 1: heard 0 of 0",
            f"say 2: {SORRY}",
            "response_wait at 12900",
        ]),
        (7910, words(1, "It is four."), []),
        (7910, sound(1, 1000), []),
        (7910, made(1), []),
        (8000, words(2, SORRY), [...]),
        (8010, made(2), [...]),
        (8020, heard_out(2), [..., "store turn 1: heard 0 of 0 llm_failed", ...]),
    )  # fmt: skip


def test_the_apology_does_not_come_in_time_either():
    call = asked(response_wait_ms=5_000).after((7900, timer("response_wait")))
    call.play((12_900, timer("response_wait"), ["error llm_failed", ..., "end: provider_failed"]))


def test_an_answer_that_stops_half_way_is_not_waited_for_for_ever():
    call = asked(response_wait_ms=5_000).after(
        (3000, words(1, "It is")),
        (3100, sound(1, 500)),
        (3100, sent(1)),
        (3600, played(1, 500)),
    )
    call.play(
        (7900, timer("response_wait"), ["response_wait at 8600"]),
        (8600, timer("response_wait"), ["error llm_failed", "clear 1", ..., f"say 2: {SORRY}", ...]),
    )  # fmt: skip
    assert call.state.items[1].text == "It"


def test_words_without_sound_are_not_waited_for_for_ever():
    call = asked(response_wait_ms=5_000).after((3000, words(1, "It is four.")))
    call.play(
        (7900, timer("response_wait"), ["response_wait at 8000"]),
        (8000, timer("response_wait"), ["error llm_failed", "clear 1", ..., f"say 2: {SORRY}", ...]),
    )  # fmt: skip


def test_nobody_waits_for_more_while_there_is_still_something_to_hear():
    """Ahead of the ear no further sentence is begun."""
    call = asked(response_wait_ms=5_000).after(
        (3000, words(1, "A long story.")),
        (3100, sound(1, 20_000)),
        (3100, sent(1)),
        (7600, played(1, 4500, 400)),
    )
    call.play(
        (7900, timer("response_wait"), ["response_wait at 12900"]),
        (12_000, words(1, " The end."), [...]),
        (12_100, sound(1, 500), [...]),
        (12_200, made(1), [..., "no response_wait", "finish 1"]),
    )


def test_a_late_answer_that_was_to_end_the_call_still_ends_it():
    call = asked(response_wait_ms=5_000).after((3000, orders(1, "end_call")))
    call.after((7900, timer("response_wait")))
    assert hear_out(call, 8000)[-1] == "end: agent_ended"


def test_a_mind_that_is_late_too_often_ends_the_call():
    call = asked(response_wait_ms=5_000, max_failures=1).after((7900, timer("response_wait")))
    assert hear_out(call, 8000)[-1] == "end: provider_failed"


@pytest.mark.parametrize("call", [begun(), answering()], ids=["no answer", "a made answer"])
def test_a_stray_timer_of_answers_means_nothing(call):
    call.timers["response_wait"] = 4000
    call.play((4000, timer("response_wait"), []))


# Speaking


def test_the_voice_fails_and_the_words_are_on_the_screen():
    call = asked()
    call.play(
        (3000, words(1, "It is four."), [...]),
        (3010, sound(1, 1000), [...]),
        (3020, sent(1), [...]),
        (3030, words(1, " Good night."), ["show text 1 from 1000:  Good night."]),
        (3040, fails("tts", 1), [
            "error tts_failed",
            "store 2 agent in_progress: |It is four. Good night.",
            "no response_wait",
            "finish 1",
        ]),
        (4050, heard_out(1), [
            "settle 1 at 1000",
            "store 2 agent failed: It is four.| Good night.",
            "store turn 1: heard 1000 of 1000 tts_failed",
            ...,
            "phase listening",
        ]),
    )  # fmt: skip


def test_a_voice_that_fails_from_the_first_word_was_not_heard():
    call = asked().after((3000, words(1, "Four.")), (3010, fails("tts", 1)), (3020, heard_out(1)))
    item = call.state.items[1]
    assert (item.text, item.unheard, item.status) == ("", "Four.", ItemStatus.FAILED)


def test_an_agent_without_a_voice_was_read():
    """No voice was asked for: what stands on the screen has reached the caller."""
    call = asked().after((3000, words(1, "Four.")), (3010, made(1)), (3020, heard_out(1)))
    item = call.state.items[1]
    assert (item.text, item.unheard, item.status) == ("Four.", "", ItemStatus.COMPLETE)


def test_a_piece_with_nothing_to_say_goes_with_what_lies_before_it():
    call = asked().after(
        (3000, words(1, "Look:")),
        (3010, sound(1, 500)),
        (3020, words(1, " `x = 1`")),
        (3030, words(1, " Clear?")),
        (3040, sound(1, 500)),
        (3050, made(1)),
        (3500, speech()),
        (3550, cut(1, 500)),
    )
    assert call.state.items[1].text == "Look: `x = 1`"


def test_a_worn_out_voice_ends_the_call():
    call = asked(max_failures=1).after((3000, words(1, "Four.")), (3010, fails("tts", 1)))
    call.after((3015, stored(2)), (3020, heard_out(1)), (3030, stored(2, 1)))
    assert call.sentences[-1] == "end: provider_failed"


def test_a_worn_out_voice_does_not_change_why_the_call_was_to_end():
    call = asked(max_failures=1).after((3000, orders(1, "end_call")), (3010, fails("tts", 1)))
    assert call.happens(3020, heard_out(1))[-1] == "end: agent_ended"


def test_the_voice_fails_while_tools_run():
    asked().play(
        (3000, words(1, "One moment."), [...]),
        (3010, wants_tool(1, "a"), [...]),
        (3020, fails("tts", 1), ["error tts_failed"]),
        (3500, tool_done("a"), [..., f"answer 1: {ASKED} / agent One moment. / tool ok", ...]),
    )


# The session


def test_a_session_that_is_lost_ends_the_call_at_once():
    """There are no ears left that could understand the last words."""
    begun().after((1000, speech())).play(
        (2000, fails("voice", fatal=True), [
            "error internal",
            "discard",
            ...,
            "end: provider_failed",
        ]),
    )  # fmt: skip


def test_a_session_that_is_lost_leaves_nobody_waiting_for_a_transcript():
    spoken().play(
        (2700, fails("voice", fatal=True), [
            "error internal",
            "no stt_wait",
            "caption 1: ",
            "store turn 1:",
            ...,
            "end: provider_failed",
        ]),
    )  # fmt: skip


def test_a_session_that_is_lost_at_the_end_does_not_hold_the_line():
    spoken().after((2700, ev.HungUp())).play(
        (2800, fails("voice", fatal=True), [..., "end: caller_hung_up"]),
    )


def test_a_session_is_not_missed_before_the_call():
    Call().play((0, fails("voice", fatal=True), []))


def test_a_failure_of_the_session_itself_is_apologised_for():
    asked().play((3000, fails("voice", 1), ["error internal", f"say 1: {SORRY}", ...]))
