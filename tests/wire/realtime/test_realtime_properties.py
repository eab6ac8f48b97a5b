"""Whatever a client sends: documented answers, valid events, nothing that breaks the socket."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.wire.base import Knock, WireError
from calls.wire.realtime import Realtime
from calls.wire.realtime.handling import HANDLERS
from tests.wire.realtime.driving import BETA, GA, READY, Wire, effect, sound, valid

PLAIN = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "type",
        "session",
        "item",
        "item_id",
        "previous_item_id",
        "response",
        "audio",
        "content_index",
        "audio_end_ms",
        "event_id",
        "id",
        "role",
        "content",
        "text",
        "call_id",
        "output",
        "name",
        "arguments",
        "status",
        "modalities",
        "output_modalities",
        "tools",
        "tool_choice",
        "input",
        "conversation",
        "metadata",
        "instructions",
        "turn_detection",
        "voice",
        "speed",
        "format",
        "rate",
        "transcription",
        "threshold",
        "silence_duration_ms",
        "max_output_tokens",
        "client_secret",
        "response_id",
        "parameters",
    ]
)
VALUES = st.sampled_from(
    [
        "realtime",
        "message",
        "function_call",
        "function_call_output",
        "user",
        "assistant",
        "none",
        "auto",
        "inf",
        "item_p_1",
        "resp_p_1",
        "c",
        "server_vad",
        "audio/pcmu",
        "AAAA",
        "text",
        0,
        100,
    ]
)
NEAR = st.recursive(
    VALUES | JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=16,
)
CLIENT = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from([*HANDLERS, "output_audio_buffer.clear", "nothing"]),
    st.dictionaries(KEYS, NEAR, max_size=5),
)
GOOD = st.sampled_from(
    [
        {"type": "input_audio_buffer.append", "audio": sound(120)},
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.clear"},
        {"type": "response.create"},
        {"type": "response.create", "response": {"conversation": "none"}},
        {"type": "response.cancel"},
        {"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}}},
        {"type": "session.update", "session": {"tools": [{"type": "function", "name": "f"}]}},
        {"type": "session.update", "session": {"audio": {"input": {"transcription": {}}}}},
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": "A"},
        },
        {
            "type": "conversation.item.create",
            "item": {"type": "function_call_output", "call_id": "c", "output": "o"},
        },
        {"type": "conversation.item.delete", "item_id": "item_p_1"},
        {"type": "conversation.item.truncate", "item_id": "item_p_2", "audio_end_ms": 0},
    ]
)
NUMBERS = st.integers(1, 3)
EFFECTS = st.one_of(
    st.builds(
        lambda m, t, p: effect("SendSpeech", mark=m, turn=t, position_ms=p),
        st.sampled_from(["started", "committed", "dropped"]),
        NUMBERS,
        st.none() | st.integers(0, 9_000),
    ),
    st.builds(
        lambda t, x, f: effect("SendTranscript", turn=t, text=x, final=f),
        NUMBERS,
        st.text(max_size=5),
        st.booleans(),
    ),
    st.builds(
        lambda r, n: effect("SendResponseBegan", response_id=r, turn=1, round=n),
        NUMBERS,
        st.integers(0, 1),
    ),
    st.builds(
        lambda r, x: effect("SendResponseText", response_id=r, text=x, start_ms=0),
        NUMBERS,
        st.text(max_size=5),
    ),
    st.builds(lambda r: effect("AudioFrame", response_id=r, start_ms=0, ms=7), NUMBERS),
    st.builds(lambda r: effect("AudioEnd", response_id=r, length_ms=7), NUMBERS),
    st.builds(lambda r: effect("ClearAudio", response_id=r), NUMBERS),
    st.builds(
        lambda r, o: effect("SendResponseMade", response_id=r, round=0, outcome=o),
        NUMBERS,
        st.sampled_from(["complete", "tools", "interrupted", "cancelled", "failed", "skipped"]),
    ),
    st.builds(
        lambda r, n, w: effect(
            "SendTool", tool_call_id="c", name=n, running=w, response_id=r, arguments="{}"
        ),
        NUMBERS,
        st.sampled_from(["f", "g"]),
        st.booleans(),
    ),
    st.builds(
        lambda c: effect("SendError", code=c, message="m"),
        st.sampled_from(["stt_failed", "llm_failed", "internal"]),
    ),
    st.builds(
        lambda a: effect("AsideText", aside_id=a, text="t"),
        st.sampled_from(["resp_p_1", "resp_p_2"]),
    ),
    st.builds(lambda a: effect("AsideDone", aside_id=a), st.sampled_from(["resp_p_1", "resp_p_2"])),
)


@PLAIN
@given(st.sampled_from([GA, BETA, None]), st.lists(CLIENT | GOOD, max_size=8))
def test_any_message_gets_a_documented_answer(dialect, messages):
    wire = Wire(dialect, ref="p")
    for message in messages:
        inbound, replies = wire.frame(json.dumps(message))
        assert not [event for event in replies if event["type"] == "error"] or not inbound
    json.dumps(wire.said, allow_nan=False)


@PLAIN
@given(st.text(max_size=50) | st.binary(max_size=50) | JSON.map(json.dumps))
def test_any_text_or_bytes(frame):
    inbound, (refused,) = Wire().frame(frame)
    assert inbound == []
    assert refused["type"] == "error"


@PLAIN
@given(st.lists(st.text(max_size=50) | st.binary(max_size=9) | CLIENT.map(json.dumps), max_size=4))
def test_anything_before_the_secret(frames):
    codec = Realtime(Knock(), call_ref="p")
    hello, code = None, 4400
    for frame in frames:
        try:
            hello = codec.open(frame)
        except WireError as refused:
            code = refused.close_code
            break
        if hello is not None:
            assert codec.ready(READY)
            break
    assert code is not None


class Heard:
    """What a careful client keeps of the responses."""

    def __init__(self):
        self.beside = set()
        self.open = {}

    def take(self, event):
        kind = event["type"].removeprefix("response.")
        if kind == "created":
            self._created(event["response"])
        elif kind == "done":
            assert self.open.pop(event["response"]["id"]) == []
        elif kind == "output_item.added":
            self.open[event["response_id"]].append(event["item"]["id"])
        elif kind == "output_item.done":
            self.open[event["response_id"]].remove(event["item"]["id"])
        elif kind != event["type"]:
            assert event["item_id"] in self.open[event["response_id"]]

    def _created(self, response):
        self.open[response["id"]] = []
        if response["conversation_id"] is None:
            self.beside.add(response["id"])
        assert len(self.open.keys() - self.beside) <= 1


@PLAIN
@given(st.sampled_from([GA, BETA]), st.lists(GOOD | EFFECTS, max_size=25))
def test_whatever_happens_is_told_in_valid_events(dialect, happenings):
    """Nothing of a response comes before it began or after it ended; one at a time."""
    wire, heard = Wire(dialect, ref="p"), Heard()
    for happening in happenings:
        if isinstance(happening, dict):
            wire.frame(json.dumps(happening))
        else:
            wire.send(happening)
    for event in wire.said:
        valid(dialect, event)
        heard.take(event)
    names = [event["event_id"] for event in wire.said]
    assert len(set(names)) == len(names)


def test_too_deep_to_be_written_again():
    deep = json.loads("[" * 400 + "]" * 400)
    tool = {"type": "function", "name": "f", "parameters": {"a": deep}}
    _, (refused,) = Wire().tell("session.update", session={"tools": [tool]})
    assert refused["error"]["param"] == "session.tools[0].parameters"
