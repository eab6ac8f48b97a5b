"""Beginnings and ends of speech, from probabilities alone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.audio.vad import SpeechBegan, SpeechEnded, SpeechRules, SpeechTracker

WINDOW = 512
PROBABILITIES = st.lists(st.floats(0, 1), max_size=120)

STORIES = [
    # id, windows of (how many, probability), what becomes certain (in windows)
    ("silence", [(50, 0.0)], []),
    ("one likely window is not speech", [(5, 0.0), (1, 0.99), (9, 0.0)], []),
    ("two apart are not either", [(1, 0.9), (1, 0.4), (1, 0.9), (9, 0.0)], []),
    ("two in a row are", [(5, 0.0), (2, 0.5)], [("began", 5, 7)]),
    ("just below the threshold", [(50, 0.499)], []),
    ("a pause within speech", [(9, 0.9), (6, 0.1), (3, 0.9)], [("began", 0, 2)]),
    ("the end of speech", [(9, 0.9), (7, 0.1)], [("began", 0, 2), ("ended", 9, 16)]),
    ("a weak voice goes on", [(2, 0.9), (50, 0.35)], [("began", 0, 2)]),
    ("it does not start", [(50, 0.35)], []),
    (
        "twice",
        [(3, 0.9), (7, 0.0), (1, 0.9), (2, 0.0), (2, 0.9), (9, 0.2)],
        [("began", 0, 2), ("ended", 3, 10), ("began", 13, 15), ("ended", 15, 22)],
    ),
]


def certain(tracker, probabilities):
    """What became certain, as rows of a story."""
    found = [tracker.take(probability) for probability in probabilities]
    rows = []
    for edge in found:
        if isinstance(edge, SpeechBegan):
            rows.append(("began", edge.first_samples / WINDOW, edge.heard_samples / WINDOW))
        if isinstance(edge, SpeechEnded):
            rows.append(("ended", edge.last_samples / WINDOW, edge.heard_samples / WINDOW))
    return rows


@pytest.mark.parametrize(("windows", "rows"), [pytest.param(*s[1:], id=s[0]) for s in STORIES])
def test_stories(windows, rows):
    probabilities = [probability for count, probability in windows for _ in range(count)]

    assert certain(SpeechTracker(WINDOW), probabilities) == rows


@given(PROBABILITIES)
def test_beginnings_and_ends_take_turns_in_time(probabilities):
    rows = certain(SpeechTracker(WINDOW), probabilities)
    heard = [row[2] for row in rows]

    assert [row[0] for row in rows] == ["began", "ended"] * (len(rows) // 2) + ["began"] * (
        len(rows) % 2
    )
    assert heard == sorted(heard)
    assert all(0 <= at <= heard_at <= len(probabilities) for _, at, heard_at in rows)
    assert all(a[1] < b[1] for a, b in pairwise(rows))


@given(PROBABILITIES)
def test_speaking_says_what_came_last(probabilities):
    tracker = SpeechTracker(WINDOW)
    rows = certain(tracker, probabilities)

    assert tracker.speaking is bool(rows and rows[-1][0] == "began")


def test_rules_can_be_others():
    tracker = SpeechTracker(WINDOW, SpeechRules(0.8, 0.6, start_windows=3, stop_windows=2))

    assert certain(tracker, [0.9, 0.7, 0.9, 0.9, 0.8, 0.7, 0.5, 0.5]) == [
        ("began", 2, 5),
        ("ended", 6, 8),
    ]


def test_a_microphone_that_goes_silent_ends_speech():
    tracker = SpeechTracker(WINDOW)
    certain(tracker, [0.9, 0.9, 0.9, 0.1])

    assert tracker.finish() == SpeechEnded(3 * WINDOW, 4 * WINDOW)
    assert not tracker.speaking
    assert tracker.finish() is None


def test_what_was_likely_before_it_went_silent_does_not_count_afterwards():
    tracker = SpeechTracker(WINDOW)
    certain(tracker, [0.9])
    tracker.finish()

    assert certain(tracker, [0.9]) == []
    assert certain(tracker, [0.9]) == [("began", 1, 3)]
