"""The Socket.IO codec with anything whatever, and what holds for every response."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from calls.domain import effects as do
from calls.domain.audio import AGENT
from calls.domain.errors import EndReason
from calls.ports.client import AudioEnd, AudioFrame
from calls.wire import socketio
from calls.wire.base import ClientAudio, WireError
from calls.wire.socketio import EVENTS_IN, EVENTS_OUT, AudioStreaming

EVENTS = st.sampled_from([*EVENTS_IN, "connect", "disconnect", "*", ""]) | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
PAYLOADS = JSON | st.binary().map(lambda data: base64.b64encode(data).decode())


def opened(codec, event, payload):
    try:
        return codec.open(event, payload), None
    except WireError as error:
        return None, error.code


@given(
    query=st.dictionaries(st.text(), st.text()),
    auth=JSON,
    before=st.lists(st.tuples(EVENTS, PAYLOADS), max_size=5),
    later=st.lists(st.tuples(EVENTS, PAYLOADS), max_size=20),
)
def test_any_event_with_any_payload_is_read_or_means_nothing(query, auth, before, later):
    codec = AudioStreaming(query, auth)
    for event, payload in before:
        hello, code = opened(codec, event, payload)
        assert (hello or code) is None if event != "start" else hello or code == "bad_message"
        assert hello is None or len(json.dumps(hello.metadata)) <= socketio.METADATA_BYTES
    for event, payload in later:
        for inbound in codec.receive(event, payload).inbound:
            if isinstance(inbound, ClientAudio):
                assert event == "audio_chunk"
                assert len(inbound.pcm) % 2 == 0
                assert inbound.pcm
            else:
                assert event == "stop"


@given(sizes=st.lists(st.integers(0, 50), max_size=30))
def test_however_sound_is_cut_the_samples_are_the_same(sizes):
    data = bytes(number % 251 for number in range(sum(sizes)))
    codec, heard, at = AudioStreaming(), b"", 0
    for size in sizes:
        chunk = base64.b64encode(data[at : at + size]).decode()
        heard += b"".join(m.pcm for m in codec.receive("audio_chunk", chunk).inbound)
        at += size
    assert heard == data[: len(data) // 2 * 2]


IDS = st.integers(1, 4)
SENT = st.one_of(
    st.builds(AudioFrame, IDS, st.just(0), st.binary(min_size=0, max_size=9)),
    st.builds(AudioEnd, IDS, st.just(0)),
    st.builds(do.SendResponseText, IDS, st.text(), st.just(0)),
    st.builds(do.ClearAudio, IDS),
    st.builds(do.SendResponseMade, IDS, st.just(0), st.sampled_from(do.Outcome)),
    st.builds(do.SendTranscript, IDS, st.text(), st.booleans()),
    st.builds(do.EndCall, st.sampled_from(EndReason)),
)


@given(messages=st.lists(SENT, max_size=40))
def test_whatever_is_sent_the_end_of_a_response_has_all_of_it(messages):
    codec = AudioStreaming()
    deltas, text = [], ""
    for message in messages:
        for emitted in codec.send(message):
            assert emitted.event in EVENTS_OUT
            json.dumps(emitted.payload)
            match emitted.event:
                case "response_audio_delta":
                    pcm = base64.b64decode(emitted.payload, validate=True)
                    assert pcm
                    assert len(pcm) % 2 == 0
                    deltas.append(emitted.payload)
                case "response_transcript_partial":
                    text += emitted.payload["delta"]
                case "response_audio":
                    assert emitted.payload == deltas != []
                    deltas = []
                case "response_transcript_final":
                    assert emitted.payload == text != ""
                    text, deltas = "", []


def test_a_response_beyond_all_measure_has_no_sum():
    codec = AudioStreaming()
    second = bytes(AGENT.bytes(1_000))
    for at in range(socketio.MOST_KEPT_MS // 1000 + 2):
        (delta,) = codec.send(AudioFrame(1, at * 1000, second))
        assert delta.event == "response_audio_delta"
    assert codec.send(AudioEnd(1, 0)) == ()
    codec.send(AudioFrame(2, 0, second))
    assert [emitted.event for emitted in codec.send(AudioEnd(2, 1_000))] == ["response_audio"]


def test_what_is_kept_of_a_response_is_forgotten_with_its_end():
    codec = AudioStreaming()
    codec.send(AudioFrame(1, 0, bytes(4)))
    (first,) = codec.send(AudioEnd(1, 0))
    assert codec.send(AudioEnd(1, 0)) == ()
    codec.send(AudioFrame(2, 0, b"\1\0"))
    (second,) = codec.send(AudioEnd(2, 0))
    assert (len(first.payload), second.payload) == (1, ["AQA="])


def test_metadata_that_does_not_fit_is_left_out():
    query = {"a": "1", "long": "x" * 3_000, "b": "2", "\x00": "nul", "c": "\ud800"}
    hello = AudioStreaming(query).open("start", None)
    assert hello.metadata == {"a": "1", "b": "2"}
