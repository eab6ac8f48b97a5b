"""A socket of the codec without a socket, and the SDK's types to judge what it says."""

import base64
import dataclasses
import json
from typing import get_args

from openai.types.beta.realtime.realtime_client_event import (
    RealtimeClientEvent as BetaClientEvent,
)
from openai.types.beta.realtime.realtime_server_event import (
    RealtimeServerEvent as BetaServerEvent,
)
from openai.types.realtime.realtime_client_event import RealtimeClientEvent as GAClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent as GAServerEvent

from calls.domain import effects as do
from calls.domain.errors import EndReason, ErrorCode
from calls.domain.policy import Policy
from calls.ports import client as out
from calls.wire.base import Knock, Ready
from calls.wire.realtime import Dialect, Grant, Realtime
from calls.wire.realtime.writing import BETA_NAMES, EVENTS

GA, BETA = Dialect.GA, Dialect.BETA
POLICY = Policy(endpoint_silence_ms=600, idle_ms=15_000)
READY = Ready(
    call_id="c1",
    resume_secret="",
    resumed=False,
    agent_slug="demo",
    agent_name="Demo",
    language="en",
    notice="",
    recording=False,
    stt="s",
    llm="l",
    tts="t",
    mic_position=0,
    push_to_talk=False,
    max_call_ms=900_000,
    resume_ms=0,
)
KNOWN = EVENTS | set(BETA_NAMES.values())
_UNIONS = {
    GA: (GAServerEvent, GAClientEvent),
    BETA: (BetaServerEvent, BetaClientEvent),
}
_EFFECTS = {
    name: kind
    for module in (do, out)
    for name, kind in vars(module).items()
    if dataclasses.is_dataclass(kind)
}
_NAMED = {
    "mark": do.SpeechMark,
    "outcome": do.Outcome,
    "code": ErrorCode,
    "reason": EndReason,
}


def server_types(dialect):
    return _types(_UNIONS[dialect][0])


def client_types(dialect):
    return _types(_UNIONS[dialect][1])


def _types(union):
    """The models of a union of the SDK by the name of their event."""
    models = get_args(get_args(union)[0])
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in models}


def sound(ms, rate_hz=24_000, width=2):
    """Base64 of silence."""
    return base64.b64encode(bytes(rate_hz * ms // 1000 * width)).decode()


def effect(name, /, **fields):
    """A message to the client from plain values; sound by its length in `ms`."""
    if "ms" in fields:
        fields["pcm"] = bytes(48 * fields.pop("ms"))
    fields = {key: _NAMED[key](value) if key in _NAMED else value for key, value in fields.items()}
    return _EFFECTS[name](**fields)


def plain(message):
    """What a client event meant, as JSON has it: fields that are not their defaults."""
    fields = {}
    for field in dataclasses.fields(message):
        value = getattr(message, field.name)
        if field.default is not dataclasses.MISSING and value == field.default:
            continue
        if field.default_factory is not dataclasses.MISSING and value == field.default_factory():
            continue
        fields[field.name] = _plain(value)
    return {type(message).__name__: fields}


def _plain(value):
    if dataclasses.is_dataclass(value):
        return next(iter(plain(value).values()))
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return value


class Wire:
    """One socket, driven from both sides; everything said to the client is checked and kept."""

    def __init__(self, dialect=GA, *, knock=None, grant=None, policy=POLICY, ref="x", ready=True):
        self.codec = Realtime(
            knock or Knock(headers={"authorization": "Bearer k"}),
            call_ref=ref,
            dialect=dialect,
            grant=Grant() if grant is None else grant,
        )
        self.said = []
        self.inbound = []
        if ready:
            self.codec.greet()
            self.codec.policy = policy
            self.take(self.codec.ready(READY))
            self.said.clear()

    def take(self, frames):
        events = [json.loads(frame) for frame in frames]
        assert {event["type"] for event in events} <= KNOWN
        self.said += events
        return events

    def tell(self, kind, /, **fields):
        """A client event; returns what the call is told, and what is answered at once."""
        return self.frame(json.dumps({"type": kind, **fields}))

    def frame(self, frame):
        received = self.codec.receive(frame)
        self.inbound += received.inbound
        return list(received.inbound), self.take(received.replies)

    def do(self, name, /, **fields):
        return self.send(effect(name, **fields))

    def send(self, message):
        return self.take(self.codec.send(message))

    def said_types(self):
        return [event["type"] for event in self.said]

    def last(self, kind):
        return next(event for event in reversed(self.said) if event["type"] == kind)

    # Scenes

    def caller_speaks(self, turn=1, text="Hello.", began_ms=1_000, ended_ms=2_000):
        self.tell("input_audio_buffer.append", audio=sound(3_000))
        self.do("SendSpeech", mark="started", turn=turn, position_ms=began_ms)
        self.do("SendSpeech", mark="committed", turn=turn, position_ms=ended_ms)
        self.do("SendTranscript", turn=turn, text=text, final=True)

    def agent_answers(self, response_id=1, turn=1, text="Good day.", ms=200):
        self.begins(response_id, turn)
        self.do("SendResponseText", response_id=response_id, text=text, start_ms=0)
        self.do("AudioFrame", response_id=response_id, start_ms=0, ms=ms)
        self.do("SendResponseMade", response_id=response_id, round=0, outcome="complete")
        self.do("AudioEnd", response_id=response_id, length_ms=ms)

    def begins(self, response_id=1, turn=1, rounds=0):
        self.do("SendResponseBegan", response_id=response_id, turn=turn, round=rounds)


def valid(dialect, event):
    """The event as the SDK's model of it, strictly; raises where the SDK would only guess."""
    return server_types(dialect)[event["type"]].model_validate(event, strict=True)
