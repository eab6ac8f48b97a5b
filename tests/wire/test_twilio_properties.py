"""Whatever arrives on a stream: a documented answer, or none, and never anything else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.ports.client import AudioFrame
from calls.wire.base import ClientAudio, WireError
from calls.wire.twilio import DIGITS, Twilio

EVENTS = ("connected", "start", "media", "dtmf", "mark", "stop")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(("r1:100", "inbound", "audio/x-mulaw", "/38A", "1", "MZ1"))
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("payload", "track", "digit", "name", "streamSid", "callSid", "mediaFormat",
                 "customParameters", "encoding", "sampleRate", "channels", "agent", "from")
            )
            | st.text(max_size=8),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)  # fmt: skip
MESSAGES = st.builds(
    lambda event, fields: json.dumps({**fields, "event": event}),
    st.sampled_from(EVENTS) | SCALARS,
    st.dictionaries(st.sampled_from(EVENTS), ANYTHING, max_size=3),
)
FRAMES = (
    MESSAGES | st.text(max_size=200) | st.binary(max_size=200) | st.builds(json.dumps, ANYTHING)
)
START = json.dumps({"event": "start", "start": {"streamSid": "MZ1"}})


def attempt(read, frame):
    """What was read, or why it was refused."""
    try:
        return read(frame), None
    except WireError as error:
        return None, error


@given(FRAMES)
def test_any_first_message_begins_a_call_waits_or_closes(frame):
    codec = Twilio()
    hello, refused = attempt(codec.open, frame)
    assert refused is None or refused.close_code is not None
    if hello is not None:
        assert len(hello.agent) <= 100
        assert all(isinstance(value, str) for value in hello.metadata.values())
        assert json.loads(codec.send(do.ClearAudio(1))[0])["streamSid"]


@given(st.lists(FRAMES, max_size=8))
def test_any_later_messages_mean_what_is_documented_or_nothing(frames):
    codec = Twilio()
    codec.open(START)
    codec.send(AudioFrame(1, 0, bytes(AGENT.bytes(100))))
    for frame in frames:
        received, refused = attempt(codec.receive, frame)
        if refused is not None:
            assert codec.error(refused.code, refused.message, fatal=False) == ()
            continue
        assert received.replies == ()
        for inbound in received.inbound:
            _check(inbound)


def _check(inbound):
    match inbound:
        case ClientAudio(position, pcm):
            assert position is None
            assert len(pcm) % 2 == 0
        case ev.DigitPressed(digit=digit):
            assert digit in DIGITS
        case ev.Played(response_id=response_id, played_ms=played_ms):
            assert (response_id, played_ms) == (1, 100)
        case ev.HungUp():
            pass
        case _:
            pytest.fail(repr(inbound))


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 120)) | st.just("clear") | st.integers(0, 5),
        max_size=30,
    )
)
def test_what_was_heard_never_goes_back_and_never_beyond_what_was_sent(steps):
    """A stream that returns marks in order, as Twilio does, with clears in between."""
    codec = Twilio()
    codec.open(START)
    response_id, sent_ms, out, heard_ms = 1, 0, [], 0
    for step in steps:
        match step:
            case "clear":
                codec.send(do.ClearAudio(response_id))
                for name in out:
                    assert codec.receive(_mark(name)).inbound == ()
                response_id, sent_ms, out, heard_ms = response_id + 1, 0, [], 0
            case (_, ms):
                frames = codec.send(AudioFrame(response_id, sent_ms, bytes(AGENT.bytes(ms))))
                sent_ms += ms
                out.append(json.loads(frames[-1])["mark"]["name"])
            case count:
                for name in out[:count]:
                    (played,) = codec.receive(_mark(name)).inbound
                    assert heard_ms < played.played_ms <= sent_ms
                    assert played.played_ms + played.buffered_ms == sent_ms
                    heard_ms = played.played_ms
                out = out[count:]


def _mark(name):
    return json.dumps({"event": "mark", "mark": {"name": name}})
