"""Word marks out of what ElevenLabs says of characters."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain.items import Mark
from calls.providers.elevenlabs.alignment import Timing, WordMarks, line_timing, socket_timing

CHAR_MS = 50
TEXT = "Your order is on its way."


def aligned(chars, begin_ms, char_ms=CHAR_MS):
    return {
        "chars": list(chars),
        "charStartTimesMs": [begin_ms + n * char_ms for n in range(len(chars))],
        "charDurationsMs": [char_ms] * len(chars),
    }


def parts(text, size=7):
    return [(text[begin : begin + size], begin * CHAR_MS) for begin in range(0, len(text), size)]


def marks_of(text, messages, said=None):
    """Marks of chunks, each of which lasts as long as its part of what is said."""
    words, at_ms, marks = WordMarks(text), 0, []
    for (part, _), message in zip(parts(said or text), messages, strict=True):
        end_ms = at_ms + len(part) * CHAR_MS
        marks += words.take(socket_timing(message), at_ms, end_ms)
        at_ms = end_ms
    return marks


def word_ends(text):
    """What the marks of a text are when every character takes as long as another."""
    ends = [n for n, char in enumerate(text + " ") if char == " " and n and text[n - 1] != " "]
    return [Mark(end, end * CHAR_MS) for end in ends]


def relative(text):
    return [{"alignment": aligned(part, 0)} for part, _ in parts(text)]


def absolute(text):
    return [{"alignment": aligned(part, begin_ms)} for part, begin_ms in parts(text)]


def test_times_count_from_the_chunk_or_from_the_beginning():
    assert marks_of(TEXT, relative(TEXT)) == word_ends(TEXT)
    assert marks_of(TEXT, absolute(TEXT)) == word_ends(TEXT)
    assert word_ends(TEXT)[:2] == [Mark(4, 200), Mark(10, 500)]


def test_a_pause_at_the_beginning_of_a_chunk_does_not_change_how_its_times_are_read():
    messages = relative(TEXT)
    messages[2] = {"alignment": aligned(TEXT[14:21], 900, 10)}

    marks = marks_of(TEXT, messages)

    assert [mark.at_ms for mark in marks if 14 < mark.end_char < 22] == [
        700 + 900 + 20,
        700 + 900 + 60,
    ]


def test_every_spelling_of_the_names_is_read():
    snake = {
        "alignment": {
            "chars": ["N", "o"],
            "char_start_times_ms": [0, 90],
            "char_durations_ms": [90, 80],
        }
    }
    plural = {
        "alignment": {
            "chars": ["N", "o"],
            "charStartTimesMs": [0, 90],
            "charsDurationsMs": [90, 80],
        }
    }

    for message in (snake, plural):
        assert WordMarks("No").take(socket_timing(message), 0, 170) == (Mark(2, 170),)


def test_lines_with_timestamps_are_in_seconds():
    line = {
        "alignment": {
            "characters": ["N", "o"],
            "character_start_times_seconds": [0, 0.09],
            "character_end_times_seconds": [0.09, 0.17],
        }
    }

    assert WordMarks("No").take(line_timing(line), 0, 170) == (Mark(2, 170),)


@pytest.mark.parametrize("style", [relative, absolute])
@pytest.mark.parametrize("silent", [(1, 3), (0, 1), (0, 2)])
def test_chunks_that_say_nothing_are_bridged_evenly(style, silent):
    messages = [
        {"alignment": None} if number in silent else message
        for number, message in enumerate(style(TEXT))
    ]

    marks = marks_of(TEXT, messages)

    known = {mark.end_char: mark.at_ms for mark in word_ends(TEXT)}
    last_told = max(number for number in range(4) if number not in silent)
    assert {mark.end_char for mark in marks} == {end for end in known if end <= last_told * 7 + 7}
    # Spaces are not counted within a gap, which moves a mark by that much at most.
    assert all(abs(mark.at_ms - known[mark.end_char]) <= 2 * CHAR_MS for mark in marks)


def test_after_a_gap_words_that_could_be_in_two_places_give_no_marks():
    text = "a bc de f bc de g"
    messages = [
        {"alignment": aligned("a", 0)},
        {"alignment": None},
        {"alignment": aligned("bc de", 700)},
    ]

    assert marks_of(text, messages) == [Mark(1, 50)]


def test_without_any_alignment_there_are_no_marks():
    assert marks_of(TEXT, [{}] * 4) == []


def test_an_alignment_of_another_text_gives_no_marks():
    wrong = [{"alignment": aligned("x" * len(part), 0)} for part, _ in parts(TEXT)]

    assert marks_of(TEXT, wrong) == []


def test_marks_end_where_the_alignment_goes_astray():
    messages = relative(TEXT)
    messages[2] = {"alignment": aligned("nowhere", 0)}

    assert marks_of(TEXT, messages) == [mark for mark in word_ends(TEXT) if mark.end_char <= 14]


def test_where_the_alignment_begins_again_the_spelled_one_takes_over():
    messages = [
        {"alignment": aligned(TEXT[: n * 7 + 7], 0), "normalizedAlignment": aligned(part, begin_ms)}
        for n, (part, begin_ms) in enumerate(parts(TEXT))
    ]

    assert marks_of(TEXT, messages) == word_ends(TEXT)


def test_the_spelled_one_alone_is_enough_while_it_agrees_with_the_text():
    text = "Room 3 is free."
    spelled = [
        {"normalizedAlignment": aligned(" Room ", 0)},
        {"normalizedAlignment": aligned("three is ", 0)},
        {"normalizedAlignment": aligned("free.", 0)},
    ]

    assert marks_of(text, spelled) == [Mark(4, 250)]


def test_where_the_spelled_one_takes_over_no_word_is_marked_twice():
    words = WordMarks("One two three")
    ahead = {"alignment": aligned("One two ", 0), "normalizedAlignment": aligned("One ", 0)}
    astray = {"alignment": aligned("xyz", 400), "normalizedAlignment": aligned("two three", 400)}

    marks = words.take(socket_timing(ahead), 0, 400) + words.take(socket_timing(astray), 400, 900)

    assert [mark.end_char for mark in marks] == [3, 7, 13]


def test_times_that_run_backwards_do_not_make_marks_descend():
    message = {
        "alignment": {
            "chars": list("a b"),
            "charStartTimesMs": [300, 350, 0],
            "charDurationsMs": [50, 50, 50],
        }
    }

    assert WordMarks("a b").take(socket_timing(message), 0, 400) == (Mark(1, 350), Mark(3, 350))


def test_what_was_spelled_out_does_not_matter_while_the_given_text_is_aligned():
    text = "Room 3"
    message = {"alignment": aligned(text, 0), "normalizedAlignment": aligned(" Room three", 0)}

    assert marks_of(text, [message]) == word_ends(text)


def test_spaces_may_differ():
    text = "  Two  words\n"
    message = {"alignment": aligned("Two words ", 0)}

    assert WordMarks(text).take(socket_timing(message), 0, 500) == (Mark(5, 150), Mark(12, 450))


def test_signs_of_a_script_without_spaces_are_words():
    message = {"alignment": aligned("你好。", 0)}

    assert marks_of("你好。", [message]) == [Mark(1, 50), Mark(2, 100), Mark(3, 150)]


@pytest.mark.parametrize(
    "broken",
    [
        {"chars": ["N", "o"], "charStartTimesMs": [0], "charDurationsMs": [1, 1]},
        {"chars": ["N", "o"], "charStartTimesMs": [0, 1], "charDurationsMs": [1]},
        {"chars": ["N", 7], "charStartTimesMs": [0, 1], "charDurationsMs": [1, 1]},
        {"chars": ["N", "o"], "charStartTimesMs": [0, "1"], "charDurationsMs": [1, 1]},
        {"chars": ["N", "o"], "charStartTimesMs": [0, float("nan")], "charDurationsMs": [1, 1]},
        {"chars": ["N", "o"], "charStartTimesMs": [0, 10**400], "charDurationsMs": [1, 1]},
        {"chars": None, "charStartTimesMs": None, "charDurationsMs": None},
        {"chars": [], "charStartTimesMs": [], "charDurationsMs": []},
        [],
        "No",
    ],
)
def test_what_is_no_alignment_is_none(broken):
    assert socket_timing({"alignment": broken}) == Timing(None, None)


def test_what_is_left_is_told_only_while_it_is_certain():
    words = WordMarks("One two.")
    words.take(socket_timing({"alignment": aligned("One ", 0)}), 0, 200)
    assert words.left == "two."

    words.take(socket_timing({}), 200, 400)
    assert words.left == ""


CHUNKS = st.lists(
    st.none()
    | st.tuples(
        st.lists(st.sampled_from(["a", "b", " ", "ab", "你"]), min_size=1, max_size=6),
        st.integers(-50, 2_000),
        st.integers(0, 100),
    ),
    max_size=8,
)


@given(st.text("ab 你", max_size=20), CHUNKS, CHUNKS)
def test_whatever_comes_marks_ascend_within_the_text(text, given_chunks, spelled_chunks):
    words, marks = WordMarks(text), []
    for number, (plain, spelled) in enumerate(zip(given_chunks, spelled_chunks, strict=False)):
        message = {
            "alignment": plain and aligned(*plain),
            "normalizedAlignment": spelled and aligned(*spelled),
        }
        marks += words.take(socket_timing(message), number * 300, number * 300 + 300)

    assert all(0 < mark.end_char <= len(text) and mark.at_ms >= 0 for mark in marks)
    for before, after in pairwise(marks):
        assert before.end_char < after.end_char
        assert before.at_ms <= after.at_ms
