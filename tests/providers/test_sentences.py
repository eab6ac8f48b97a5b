"""Cutting answers into speakable pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.sessions.sentences import SentenceCutter

WORDS = st.text(alphabet="ab.!?,;:…。！\n \"'1$", max_size=900) | st.text(max_size=200)


def cut(*deltas: str) -> list[str]:
    cutter = SentenceCutter()
    pieces = [piece for delta in deltas for piece in cutter.feed(delta)]
    return [*pieces, last] if (last := cutter.flush()) else pieces


CUTS = [
    # id                          text                                   pieces
    ("nothing", "", []),
    ("one sentence", "Hello there.", ["Hello there."]),
    ("two sentences", "Hello. I am here.", ["Hello. ", "I am here."]),
    ("question and cry", "Well? Yes! Good.", ["Well? ", "Yes! ", "Good."]),
    ("price with cents", "It is $29.99 a month.", ["It is $29.99 a month."]),
    ("price at the end", "It is $29. Fine.", ["It is $29. ", "Fine."]),
    ("decimal", "About 3.5 km. Far.", ["About 3.5 km. ", "Far."]),
    ("short form", "Bring fruit, e.g. an apple. Thanks.", ["Bring fruit, e.g. an apple. ", "Thanks."]),
    ("short form before a name", "At 5 p.m. Anna comes.", ["At 5 p.m. ", "Anna comes."]),
    ("title", "Ask Dr. Smith. Bye.", ["Ask Dr. Smith. ", "Bye."]),
    ("initial", "J. Smith is in. Bye.", ["J. Smith is in. ", "Bye."]),
    ("I is a word", "It is I. Come in.", ["It is I. ", "Come in."]),
    ("numbered list", "1. Eggs\n2. Milk", ["1. Eggs\n", "2. Milk"]),
    ("year", "It was 2024. Then it ended.", ["It was 2024. ", "Then it ended."]),
    ("hesitation", "Well... maybe. Good.", ["Well... maybe. ", "Good."]),
    ("closing quote", 'She said "go." We went.', ['She said "go." ', "We went."]),
    ("bold", "**Done.** Next.", ["**Done.** ", "Next."]),
    ("white space stays", "One.  \n Two. ", ["One.  \n ", "Two. "]),
    ("only white space", "  \n ", ["  \n "]),
    ("lines", "Eggs\nMilk", ["Eggs\n", "Milk"]),
    ("first clause", "If you would like to, I can help. Now, or later, as you wish.",
     ["If you would like to, ", "I can help. ", "Now, or later, as you wish."]),
    ("short clause", "Well, I can. Good.", ["Well, I can. ", "Good."]),
    ("time of day", "We could meet you at 10:30 sharp. Yes.", ["We could meet you at 10:30 sharp. ", "Yes."]),
    ("chinese", "你好。我在这里！好", ["你好。", "我在这里！", "好"]),
    ("japanese quote", "「はい。」と言った。", ["「はい。」", "と言った。"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "pieces"), [pytest.param(*c[1:], id=c[0]) for c in CUTS])
def test_cuts(text, pieces):
    assert cut(text) == pieces


@given(st.lists(WORDS, max_size=8))
def test_the_pieces_are_the_text(deltas):
    assert "".join(cut(*deltas)) == "".join(deltas)


@given(WORDS)
def test_how_the_text_arrives_does_not_matter(text):
    assert cut(*text) == cut(text)


@given(st.lists(st.text(alphabet="ab.,!?'", min_size=1, max_size=30), max_size=200))
def test_no_word_is_split(words):
    for piece in cut(" ".join(words))[:-1]:
        assert piece[-1].isspace()


@given(st.text(alphabet="ab ,", max_size=4000))
def test_no_piece_is_much_too_long(text):
    longest_word = max((len(word) for word in text.split()), default=0)
    for piece in cut(text):
        assert len(piece.strip()) <= 280 + longest_word + 1


def test_a_run_without_spaces_is_broken_somewhere():
    assert [len(piece) for piece in cut("a" * 1000)] == [400, 400, 200]


@pytest.mark.parametrize(
    ("so_far", "piece"),
    [
        ("Hello there.", "Hello there."),
        ("Hello there. ", "Hello there. "),
        ("Hello there", ""),
        ("It costs $29.", ""),
        ("Ask Dr.", ""),
        ("", ""),
        ("Really?", "Really?"),
    ],
)
def test_a_silent_model_lets_a_finished_sentence_go(so_far, piece):
    cutter = SentenceCutter()
    assert list(cutter.feed(so_far)) == []
    assert cutter.settle() == piece
    assert cutter.flush() == so_far.removeprefix(piece)
