"""What is said aloud of a displayed text, and where it stands in it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain.items import Mark
from calls.providers.cascade.speakable import speakable

SAID = [
    # id                   displayed                               said
    ("plain", "It is four. Good!", "It is four. Good!"),
    ("emphasis", "**Very** *good* and ~~bad~~ `code`", "Very good and bad code"),
    ("underscores", "_so_ a_b __c__", "so a_b c"),
    ("a product is no emphasis", "3 * 4 is 12", "3 times 4 is 12"),
    ("heading", "## Hours\nNine to five", "Hours\nNine to five"),
    ("list", "- one\n* two\n  + three", "one\ntwo\nthree"),
    ("quote", "> so he said", "so he said"),
    ("rule", "one\n---\ntwo", "one\n\ntwo"),
    ("smileys", "Fine 😀👍🏽 then ☀️", "Fine  then "),
    ("flag and family", "🇩🇪 hi 👨‍👩‍👧", " hi "),
    ("arrow", "A → B", "A  B"),
    ("address", "See https://www.example.com/a?b=1#c, please.", "See example.com, please."),
    ("address at the end", "Go to http://example.org.", "Go to example.org."),
    ("link", "Read [the page](https://example.com/x) now", "Read the page now"),
    ("image", "![a cat](cat.png) nice", "a cat nice"),
    ("mail", "Write to me@example.org.", "Write to me at example.org."),
    ("code", "Run ```py\nprint(1)\n``` now", "Run  now"),
    ("figures", "**$29.50** at `10:30`, *Dr.* Who", "29 dollars and 50 cents at 10 30, Doctor Who"),
    ("whole numbers stay", "1,234 of 99 in 2024", "1,234 of 99 in 2024"),
    ("the label of a link", "[9-17 km](http://a.b/c) off", "9 to 17 kilometers off"),
    ("figures in addresses", "See http://a1.example.com/3-4 or a+b@x.org", "See a1.example.com or a plus b at x.org"),
    ("table", "| a | b |", " a  b "),
]  # fmt: skip


@pytest.mark.parametrize(("shown", "said"), [pytest.param(*c[1:], id=c[0]) for c in SAID])
def test_said(shown, said):
    assert speakable(shown).text == said


def test_a_block_of_code_may_span_pieces():
    begun = speakable("Run this: ```sh\nls\n")
    assert (begun.text, begun.in_code) == ("Run this: ", True)
    inside = speakable("cd /\n", in_code=begun.in_code)
    assert (inside.text, inside.in_code, inside.audible) == ("", True, False)
    ended = speakable("pwd\n``` and done", in_code=inside.in_code)
    assert (ended.text, ended.in_code, ended.audible) == (" and done", False, True)


def shown_after(shown: str, said: str) -> str:
    """What of the display counts as said once the voice has said so much."""
    spoken = speakable(shown)
    assert spoken.text.startswith(said)
    (mark,) = spoken.shown([Mark(len(said), 70)])
    assert mark.at_ms == 70
    return shown[: mark.end_char]


@pytest.mark.parametrize(
    ("shown", "said", "counts"),
    [
        ("It is four.", "It is", "It is"),
        ("**It** is four.", "It", "**It**"),
        ("**It** is four.", "It is", "**It** is"),
        ("See https://example.com/a now", "See", "See"),
        ("See https://example.com/a now", "See example", "See "),
        ("See https://example.com/a now", "See example.com", "See https://example.com/a"),
        ("See https://example.com/a now", "See example.com now", "See https://example.com/a now"),
        ("All done 😀", "All done ", "All done 😀"),
    ],
)
def test_marks_point_into_the_display(shown, said, counts):
    assert shown_after(shown, said) == counts


@given(
    st.lists(
        st.text(max_size=6)
        | st.sampled_from(["https://", "```", "**", "[a](b)", "😀", "a.b", "x@y.z", "\n# ", " "]),
        max_size=12,
    ).map("".join),
    st.booleans(),
)
def test_marks_ascend_and_end_with_the_text(shown, in_code):
    spoken = speakable(shown, in_code=in_code)
    marks = spoken.shown(Mark(n, n) for n in range(len(spoken.text) + 1))
    ends = [mark.end_char for mark in marks]
    assert ends == sorted(ends)
    assert ends[0] >= 0
    assert ends[-1] == len(shown)
