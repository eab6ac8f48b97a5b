"""Whatever a stranger sends, the codec understands it or says what is wrong with it."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import ErrorCode
from calls.domain.items import Item, Role
from calls.wire.base import Hello, Received, WireError
from calls.wire.browser import (
    AUDIO_BYTES,
    METADATA_BYTES,
    START_BYTES,
    TEXT_BYTES,
    TYPED_CHARS,
    Browser,
)
from calls.wire.fields import MAX_INT

START = {"type": "start", "v": 1, "agent": "demo"}
TYPES = ("start", "text", "mute", "turns", "talk", "played", "cut", "ping", "hang_up")
FIELDS = (
    "type", "v", "agent", "token", "language", "microphone", "turns", "capabilities", "metadata",
    "resume", "text", "muted", "mode", "pressed", "response_id", "played_ms", "buffered_ms", "t",
    "rate_hz", "call_id", "secret", "played",
)  # fmt: skip

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(["auto", "push_to_talk", "demo", "\x00", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
messages = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=8).flatmap(
    lambda fields: st.sampled_from(TYPES).map(lambda kind: fields | {"type": kind, "v": 1})
)
NASTY = (
    '{"type": "ping", "t": NaN}',
    '{"type": "ping", "t": Infinity}',
    '{"type": "ping", "t": -Infinity}',
    '{"type": "ping", "t": 1e999}',
    '{"type": "ping", "t": ' + "9" * 5_000 + "}",
    '{"type": "ping", "t": -0}',
    '{"type": "played", "response_id": 1, "played_ms": 1e3, "buffered_ms": 0}',
    "[" * 15_000,
    "[" * 60_000,
    '{"a":' * 3_000,
    '{"type": "text", "text": "' + "[" * 15_000 + '"}',
    '{"type": "text", "text": "\\ud800"}',
    '{"type": "text", "text": "\\u0000"}',
    '{"type": "text", "text": "\x00"}',
    '{"type": "text", "type": "ping", "t": 1}',
    '{"type": "text", "text": "hi"}garbage',
    '\ufeff{"type": "hang_up"}',
    "null",
    "true",
    '""',
    "",
    " ",
    "\x00",
    "\ud800",
)


def understood_or_refused(read, frame):
    try:
        return read(frame)
    except WireError as refused:
        return refused


@given(st.text() | st.binary(max_size=200))
def test_any_text_and_any_bytes(frame):
    answer = understood_or_refused(Browser().receive, frame)
    assert isinstance(answer, Received | WireError)
    first = understood_or_refused(Browser().open, frame)
    assert isinstance(first, WireError)
    assert first.close_code is not None


@given(messages)
def test_any_json_that_looks_like_a_message(message):
    for frame in (json.dumps(message), json.dumps(message, ensure_ascii=False)):
        answer = understood_or_refused(Browser().receive, frame)
        assert isinstance(answer, Received | WireError)
        if message["type"] == "start":
            hello = understood_or_refused(Browser().open, frame)
            assert not isinstance(hello, WireError) or hello.close_code is not None


@given(json_values)
def test_any_json_at_all(value):
    assert understood_or_refused(Browser().receive, json.dumps(value)) is not None


@pytest.mark.parametrize("frame", NASTY, ids=range(len(NASTY)))
def test_what_breaks_other_readers(frame):
    answer = understood_or_refused(Browser().receive, frame)
    if isinstance(answer, Received):
        for inbound in answer.inbound:
            assert isinstance(inbound, ev.HungUp | ev.TextTyped)
    first = understood_or_refused(Browser().open, frame)
    assert isinstance(first, WireError)
    assert first.close_code in (4400, 4413)


def test_no_depth_of_metadata_breaks_the_reader():
    for depth in range(900, 1_000):
        frame = json.dumps(START)[:-1] + ', "metadata": {"k": ' + "[" * depth + "]" * depth + "}}"
        answer = understood_or_refused(Browser().open, frame)
        assert isinstance(answer, Hello | WireError)


# Sizes


def padded(message, size_bytes):
    """The message, with an unknown field that makes it as long as that."""
    text = json.dumps(message | {"pad": ""})
    return json.dumps(message | {"pad": "x" * (size_bytes - len(text))})


def test_a_first_message_has_a_largest_size():
    assert Browser().open(padded(START, START_BYTES)).agent == "demo"
    with pytest.raises(WireError) as refused:
        Browser().open(padded(START, START_BYTES + 1))
    assert (refused.value.code, refused.value.close_code) == (ErrorCode.TOO_LARGE, 4413)


def test_a_later_message_has_a_largest_size():
    ping = {"type": "ping", "t": 1}
    assert Browser().receive(padded(ping, TEXT_BYTES)).replies
    with pytest.raises(WireError) as refused:
        Browser().receive(padded(ping, TEXT_BYTES + 1))
    assert (refused.value.code, refused.value.close_code) == (ErrorCode.TOO_LARGE, 4413)


def test_sizes_are_counted_in_bytes():
    with pytest.raises(WireError) as refused:
        Browser().receive(json.dumps({"type": "text", "text": "€" * 6_000}, ensure_ascii=False))
    assert refused.value.code is ErrorCode.TOO_LARGE


def test_sound_has_a_largest_size():
    (audio,) = Browser().receive(bytes(AUDIO_BYTES)).inbound
    assert len(audio.pcm) == AUDIO_BYTES - 4
    with pytest.raises(WireError) as refused:
        Browser().receive(bytes(AUDIO_BYTES + 2))
    assert (refused.value.code, refused.value.close_code) == (ErrorCode.TOO_LARGE, 4413)


def test_sound_may_be_none_at_all():
    (audio,) = Browser().receive(struct.pack("<I", 7)).inbound
    assert (audio.position, audio.pcm) == (7, b"")


def test_typed_words_have_a_greatest_length():
    text = "x" * TYPED_CHARS
    (typed,) = Browser().receive(json.dumps({"type": "text", "text": text})).inbound
    assert typed.text == text
    with pytest.raises(WireError) as refused:
        Browser().receive(json.dumps({"type": "text", "text": text + "x"}))
    assert refused.value.close_code is None


@pytest.mark.parametrize("text", [" ", "\n\t", "\u3000"])
def test_typed_blanks_say_nothing(text):
    with pytest.raises(WireError):
        Browser().receive(json.dumps({"type": "text", "text": text}))


def test_metadata_has_a_largest_size():
    def start(size_bytes):
        empty = len(json.dumps({"k": ""}))
        return json.dumps(START | {"metadata": {"k": "x" * (size_bytes - empty)}})

    assert Browser().open(start(METADATA_BYTES)).metadata
    with pytest.raises(WireError):
        Browser().open(start(METADATA_BYTES + 1))


@pytest.mark.parametrize("value", ["a\x00b", "\ud800", {"\x00": 1}, {"a": ["\udfff"]}])
def test_metadata_is_what_a_database_can_hold(value):
    with pytest.raises(WireError):
        Browser().open(json.dumps(START | {"metadata": {"k": value}}))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_metadata_holds_no_number_that_is_none(number):
    frame = json.dumps(START)[:-1] + f', "metadata": {{"k": {number}}}}}'
    with pytest.raises(WireError) as refused:
        Browser().open(frame)
    assert refused.value.close_code == 4400


@pytest.mark.parametrize(
    "played",
    [
        {"response_id": 2**32, "played_ms": 0},
        {"response_id": 1, "played_ms": 2**32},
        {"response_id": 1},
        [],
    ],
)
def test_a_return_tells_a_playhead_that_can_be(played):
    resume = {"call_id": "c", "secret": "s", "played": played}
    with pytest.raises(WireError):
        Browser().open(json.dumps(START | {"resume": resume}))


def test_metadata_may_speak_of_escapes():
    hello = Browser().open(json.dumps(START | {"metadata": {"k": "\\u0000"}}))
    assert hello.metadata == {"k": "\\u0000"}


@pytest.mark.parametrize(
    ("fields", "accepted"),
    [
        ({"response_id": 2**32 - 1}, True),
        ({"response_id": 2**32}, False),
        ({"response_id": -1}, False),
        ({"response_id": True}, False),
        ({"played_ms": 2**32 - 1}, True),
        ({"played_ms": 2**32}, False),
        ({"buffered_ms": 2**32}, False),
        ({"buffered_ms": None}, False),
    ],
)
def test_numbers_have_their_range(fields, accepted):
    message = {"type": "played", "response_id": 1, "played_ms": 0, "buffered_ms": 0} | fields
    answer = understood_or_refused(Browser().receive, json.dumps(message))
    assert isinstance(answer, Received) is accepted


def test_a_ping_carries_any_time_of_a_page():
    for t in (0, MAX_INT):
        assert Browser().receive(json.dumps({"type": "ping", "t": t})).replies
    for t in (-1, MAX_INT + 1, 0.5):
        with pytest.raises(WireError):
            Browser().receive(json.dumps({"type": "ping", "t": t}))


# Out


def strict(frame):
    """What a browser makes of it: no NaN, and no half of a surrogate pair on the wire."""
    frame.encode()

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(frame, parse_constant=refuse)


@given(st.text(), json_values)
def test_whatever_a_model_says_is_valid_json_on_the_wire(text, value):
    item = Item(1, Role.AGENT, text, 1, metadata={"value": value})
    for message in (
        do.SendItem(item),
        do.SendResponseText(1, text, 0),
        do.SendTranscript(1, text, final=True),
        do.SendTool("t", text, running=True),
    ):
        (frame,) = Browser().send(message)
        strict(frame)


def test_a_number_that_is_none_does_not_break_the_page():
    item = Item(1, Role.AGENT, "Hi", 1, metadata={"mood": float("nan"), "far": [float("inf")]})
    (frame,) = Browser().send(do.SendItem(item))
    assert strict(frame)["item"]["text"] == "Hi"


def test_what_was_sent_is_not_repeated():
    with pytest.raises(WireError) as refused:
        Browser().receive('{"type": "geheim"}')
    assert "geheim" not in refused.value.message


def test_secrets_are_not_shown():
    resume = {"call_id": "c", "secret": "geheim", "played": None}
    hello = Browser().open(json.dumps(START | {"token": "geheim", "resume": resume}))
    assert "geheim" not in repr(hello)
