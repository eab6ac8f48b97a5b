"""Which words were heard, and what the model is shown of them."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain.audio import AGENT, AudioFormat
from calls.domain.conversation import context, marks_of, split_heard
from calls.domain.items import Mark
from calls.domain.state import Response, Segment
from calls.domain.timings import TurnTimings
from tests.doubles.story import asked, made, sound, words


@st.composite
def responses(draw) -> Response:
    """Any answer, its marks as a provider may give them: out of order, out of range."""
    segments: list[Segment] = []
    audio_ms = 0
    mark = st.builds(Mark, st.integers(-3, 40), st.integers(-100, 3_000))
    for text in draw(st.lists(st.text(max_size=12), max_size=5)):
        marks = draw(st.lists(mark, max_size=3)) if draw(st.booleans()) else []
        segments.append(Segment(text, audio_ms, tuple(marks)))
        audio_ms += draw(st.sampled_from([0, 1, 20, 700]))
    return Response(
        response_id=1,
        turn=1,
        timings=TurnTimings(),
        segments=tuple(segments),
        complete=draw(st.sampled_from([0, len(segments)])),
        audio_bytes=AGENT.bytes(audio_ms),
        error=draw(st.sampled_from(["", "tts_failed"])),
    )


@given(responses(), st.integers(-10, 4_000))
def test_what_was_heard_and_what_was_not_join_to_the_whole(response, heard_ms):
    heard, unheard = split_heard(response, heard_ms)
    assert heard + unheard == response.text


@given(responses(), st.integers(0, 4_000), st.integers(0, 4_000))
def test_hearing_longer_is_hearing_no_less(response, some_ms, more_ms):
    heard, _ = split_heard(response, min(some_ms, more_ms))
    heard_longer, _ = split_heard(response, max(some_ms, more_ms))
    assert heard_longer.startswith(heard)


def test_marks_lie_within_the_whole_answer():
    call = asked().after(
        (3000, words(1, "It is")),
        (3010, sound(1, 500, (2, 200), (5, 450))),
        (3020, words(1, " four.")),
        (3030, sound(1, 500)),
        (3040, made(1)),
    )
    assert call.state.response is not None
    assert marks_of(call.state.response) == (Mark(2, 200), Mark(5, 450), Mark(11, 1000))


def test_words_that_are_still_being_said_are_not_yet_in_the_conversation():
    call = asked("Hello").after((3000, words(1, "Hello to")), (3010, sound(1, 500)))
    assert [item.text for item in context(call.state)] == ["Hello"]


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_sound_is_measured_in_whole_samples(rate_hz):
    format_ = AudioFormat(rate_hz)
    assert format_.ms(bytes(format_.bytes(1_000))) == 1_000
    assert format_.samples(1_000) == rate_hz
    assert format_.bytes(333) % 2 == 0
    assert format_.ms_of(format_.bytes(20) - 2) == 19


def test_the_machine_loads_no_framework():
    code = (
        "import sys, calls.domain.machine; "
        "print(*{'django', 'channels', 'asyncio'} & {m.partition('.')[0] for m in sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout.strip() == ""
