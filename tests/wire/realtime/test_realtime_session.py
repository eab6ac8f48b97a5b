"""The session: how it begins, what it is set to, and what the call is told of that."""

import json
from dataclasses import replace

import pytest

from calls.domain import events as ev
from calls.domain.errors import ErrorCode
from calls.domain.policy import Policy
from calls.ports.client import Playback
from calls.ports.tools import ToolSpec
from calls.ports.voice import SessionChange
from calls.wire.base import HearingChange, Knock, TurnsMode, WireError
from calls.wire.realtime import (
    Dialect,
    Grant,
    Realtime,
    Refusal,
    Settings,
    dialect_of,
    read_session,
    session_object,
    token_of,
)
from tests.wire.realtime.driving import BETA, GA, POLICY, READY, Wire, effect, valid

PROTOCOLS = ("realtime", "openai-insecure-api-key.ek_1")

# Who speaks what


@pytest.mark.parametrize(
    ("knock", "dialect", "token"),
    [
        (Knock(headers={"authorization": "Bearer ek_1"}), None, "ek_1"),
        (
            Knock(headers={"authorization": "bearer  k ", "openai-beta": "realtime=v1"}),
            BETA,
            "k",
        ),
        (Knock(subprotocols=PROTOCOLS), None, "ek_1"),
        (Knock(subprotocols=(*PROTOCOLS, "openai-beta.realtime-v1")), BETA, "ek_1"),
        (Knock(subprotocols=(*PROTOCOLS, "openai-agents-sdk.0.20.0")), GA, "ek_1"),
        (Knock(headers={"authorization": "Basic abc"}), None, ""),
        (Knock(), None, ""),
    ],
)
def test_evidence_of_the_handshake(knock, dialect, token):
    assert (dialect_of(knock), token_of(knock)) == (dialect, token)


@pytest.mark.parametrize(
    ("session", "dialect"),
    [
        ({"type": "realtime"}, GA),
        ({"audio": {}}, GA),
        ({"modalities": ["text"]}, BETA),
        ({"input_audio_format": "pcm16"}, BETA),
        ({"voice": "alloy"}, BETA),
        ({"type": "realtime", "voice": "alloy"}, GA),
        ({"audio": {}, "voice": "alloy"}, GA),
        ({"instructions": "Hi."}, GA),
    ],
)
def test_the_first_update_decides_where_nothing_else_does(session, dialect):
    wire = Wire(None)
    wire.tell("session.update", session=session)
    shown = wire.last("session.updated")["session"]
    assert ("modalities" in shown) == (dialect is BETA)
    assert ("type" in shown) == (dialect is GA)
    valid(dialect, wire.said[-1])
    # What is decided stays.
    wire.tell("session.update", session={"type": "realtime", "modalities": ["text"]})
    assert ("modalities" in wire.last("session.updated")["session"]) == (dialect is BETA)


def test_whoever_was_told_anything_has_its_dialect():
    wire = Wire(None)
    wire.agent_answers()
    wire.tell("session.update", session={"modalities": ["text"]})
    assert wire.last("session.updated")["session"]["type"] == "realtime"


# The beginning


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        (None, ["session.created"]),
        (GA, ["session.created"]),
        (BETA, ["session.created", "conversation.created"]),
    ],
)
def test_a_call_begins_with_the_socket(dialect, names):
    wire = Wire(dialect, ready=False)
    hello = wire.codec.greet()
    assert (hello.token, hello.mic_rate_hz, hello.greets) == ("k", 24_000, False)
    assert (hello.pace.playback, hello.pace.lead_ms) == (Playback.ASSUMED, None)
    assert hello.system_prompt is None
    wire.codec.policy = POLICY
    events = wire.take(wire.codec.ready(READY))
    assert [event["type"] for event in events] == names
    for event in events:
        valid(dialect or GA, event)
    assert events[0]["session"]["instructions"] == ""


def test_the_session_shows_the_agents_own_ways():
    wire = Wire(ready=False)
    wire.codec.greet()
    wire.codec.policy = replace(POLICY, endpoint_silence_ms=750, interruptible=False)
    (created,) = wire.take(wire.codec.ready(READY))
    assert created["session"]["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 750,
        "create_response": True,
        "interrupt_response": False,
        "idle_timeout_ms": None,
    }
    # And nobody has the call led differently.
    assert wire.tell("input_audio_buffer.clear")[0] == [ev.TurnDropped()]


def test_a_secret_with_settings_begins_with_them():
    settings = read_session(
        {
            "type": "realtime",
            "instructions": "Rhyme.",
            "audio": {"input": {"turn_detection": None}},
        },
        GA,
    )
    wire = Wire(grant=Grant(settings=settings, expires_at=1_800_000_000))
    inbound, _ = wire.tell("input_audio_buffer.clear")
    assert inbound == [
        TurnsMode(push_to_talk=True),
        ev.PolicyChanged(policy=replace(POLICY, answers=False, idle_ms=0)),
        SessionChange(system_prompt="Rhyme."),
    ]
    assert wire.tell("input_audio_buffer.clear")[0] == []
    wire.tell("session.update", session={"type": "realtime"})
    shown = wire.last("session.updated")["session"]
    assert shown["instructions"] == "Rhyme."
    assert shown["expires_at"] == 1_800_000_000
    assert shown["audio"]["input"]["turn_detection"] is None


def test_what_is_allowed_may_be_known_after_the_greeting():
    wire = Wire(ready=False)
    wire.codec.greet()
    wire.codec.allow(Grant(configures=False, settings=Settings(instructions="Obey.")))
    wire.codec.ready(READY)
    tool = {"type": "function", "name": "obey", "description": "", "parameters": {}}
    session = {"type": "realtime", "instructions": "No.", "tools": [tool]}
    wire.tell("session.update", session=session)
    shown = wire.last("session.updated")["session"]
    assert (shown["instructions"], shown["tools"], shown["tool_choice"]) == ("", [], "auto")
    assert not [i for i in wire.inbound if isinstance(i, SessionChange)]


# A secret in a message


def pending():
    return Realtime(Knock(), call_ref="x")


def update(**session):
    return json.dumps({"type": "session.update", "session": session})


def test_a_secret_in_a_message():
    codec = pending()
    assert codec.greet() is None
    first = update(modalities=["text", "audio"], instructions="Be brief.", voice="alloy")
    assert codec.open(first) is None
    append = json.dumps({"type": "input_audio_buffer.append", "audio": "AAAA"})
    assert codec.open(append) is None
    hello = codec.open(update(client_secret="ek_1"))
    assert hello.token == "ek_1"
    codec.policy = POLICY
    created, conversation, updated = (json.loads(frame) for frame in codec.ready(READY))
    assert updated["type"] == "session.updated"
    assert created["session"]["instructions"] == "Be brief."
    assert created["session"]["voice"] == "alloy"
    assert conversation["type"] == "conversation.created"
    inbound = codec.receive(json.dumps({"type": "input_audio_buffer.clear"})).inbound
    assert inbound[0] == SessionChange(system_prompt="Be brief.", voice="alloy")
    codec.send(effect("SendResponseBegan", response_id=1, turn=1))
    *_, delta = codec.send(effect("AudioFrame", response_id=1, start_ms=0, ms=10))
    assert json.loads(delta)["delta"]["type"] == "audio.delta"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (json.dumps({"type": "response.create"}), ErrorCode.UNAUTHORIZED),
        (update(modalities=["audio"]), ErrorCode.BAD_MESSAGE),
        ("{", ErrorCode.BAD_MESSAGE),
        (b"\x00", ErrorCode.BAD_MESSAGE),
        (json.dumps({"type": "session.update"}), ErrorCode.UNAUTHORIZED),
    ],
)
def test_nothing_else_comes_before_it(frame, code):
    codec = pending()
    with pytest.raises(WireError) as refused:
        codec.open(frame)
    assert refused.value.code == code
    assert refused.value.close_code is not None


def test_without_a_secret_no_call():
    with pytest.raises(WireError) as refused:
        pending().late()
    assert (refused.value.code, refused.value.close_code) == (ErrorCode.START_TIMEOUT, 4408)


def test_a_secret_object_of_the_beta_is_no_secret():
    codec = pending()
    assert codec.open(update(client_secret={"expires_after": {"anchor": "created_at"}})) is None


# Settings, both ways

FULL_GA = {
    "type": "realtime",
    "output_modalities": ["text"],
    "instructions": "Rhyme.",
    "tools": [
        {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
    ],
    "tool_choice": {"type": "function", "name": "f"},
    "max_output_tokens": 100,
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "whisper-1", "language": "en", "prompt": "Names."},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.7,
                "prefix_padding_ms": 200,
                "silence_duration_ms": 400,
                "idle_timeout_ms": 8_000,
                "create_response": False,
                "interrupt_response": False,
            },
        },
        "output": {"format": {"type": "audio/pcma"}, "voice": "marin", "speed": 1.25},
    },
}
FULL_BETA = {
    "modalities": ["text"],
    "instructions": "Rhyme.",
    "tools": FULL_GA["tools"],
    "tool_choice": "f",
    "max_response_output_tokens": 100,
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": FULL_GA["audio"]["input"]["transcription"],
    "turn_detection": {
        key: value
        for key, value in FULL_GA["audio"]["input"]["turn_detection"].items()
        if key != "idle_timeout_ms"
    },
    "voice": "marin",
    "speed": 1.25,
}


def within(part, whole):
    if isinstance(part, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    return part == whole


@pytest.mark.parametrize(("dialect", "session"), [(GA, FULL_GA), (BETA, FULL_BETA)], ids=str)
def test_what_is_set_is_shown(dialect, session):
    settings = read_session(session, dialect)
    shown = session_object(settings, dialect, session_id="sess_1")
    assert within(session, shown)
    # What is shown may be sent back, and changes nothing.
    again = read_session(shown, dialect, settings)
    assert replace(again, given=settings.given) == settings
    # And the other dialect shows the same session.
    other = BETA if dialect is GA else GA
    told = session_object(settings, other)
    assert replace(read_session(told, other, settings), given=settings.given) == settings


def test_everything_reaches_the_call():
    wire = Wire()
    inbound, _ = wire.tell("session.update", session=FULL_GA)
    policy = replace(
        POLICY, answers=False, interruptible=False, endpoint_silence_ms=400, idle_ms=8_000
    )
    assert inbound == [
        ev.PolicyChanged(policy=policy),
        HearingChange(threshold=0.7, prefix_ms=200),
        SessionChange(
            system_prompt="Rhyme.",
            tools=(ToolSpec("f", "d", {"type": "object"}),),
            tool_choice="f",
            voice="marin",
            speed=1.25,
            language="en",
            text_only=True,
            max_output_tokens=100,
        ),
    ]
    # The same again is no change.
    assert wire.tell("session.update", session=FULL_GA)[0] == []


@pytest.mark.parametrize("dialect", [GA, BETA], ids=str)
def test_null_is_not_left_out(dialect):
    def turns(**fields):
        if dialect is BETA:
            return wire.tell("session.update", session=fields)[0]
        session = {"type": "realtime", "audio": {"input": fields}}
        return wire.tell("session.update", session=session)[0]

    wire = Wire(dialect)
    assert turns() == []
    manual = replace(POLICY, answers=False, idle_ms=0)
    assert turns(turn_detection=None) == [
        TurnsMode(push_to_talk=True),
        ev.PolicyChanged(policy=manual),
    ]
    assert turns() == []
    back = turns(turn_detection={"type": "server_vad", "silence_duration_ms": 600})
    assert back == [
        TurnsMode(push_to_talk=False),
        ev.PolicyChanged(policy=replace(POLICY, idle_ms=0)),
    ]


def test_a_turn_that_is_committed_counts_whatever_the_agent_says():
    wire = Wire(policy=replace(POLICY, interruptible=False))
    session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    _, changed = wire.tell("session.update", session=session)[0]
    assert changed.policy.interruptible


@pytest.mark.parametrize(
    ("eagerness", "silence_ms"), [("low", 1_500), ("medium", 900), ("auto", 900), ("high", 500)]
)
def test_eagerness_is_a_pause(eagerness, silence_ms):
    wire = Wire()
    detection = {"type": "semantic_vad", "eagerness": eagerness}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    (changed,), _ = wire.tell("session.update", session=session)
    assert changed.policy.endpoint_silence_ms == silence_ms
    shown = wire.last("session.updated")["session"]["audio"]["input"]["turn_detection"]
    assert shown == {**detection, "create_response": True, "interrupt_response": True}
    valid(GA, wire.said[-1])


def test_what_is_left_out_stays():
    wire = Wire()
    wire.tell("session.update", session=FULL_GA)
    inbound, (updated,) = wire.tell("session.update", session={"type": "realtime"})
    assert inbound == []
    assert within(FULL_GA, updated["session"])


def test_a_tool_that_is_gone_is_not_insisted_on():
    wire = Wire()
    wire.tell("session.update", session=FULL_GA)
    inbound, (updated,) = wire.tell("session.update", session={"type": "realtime", "tools": []})
    assert inbound == [SessionChange(tools=(), tool_choice="")]
    assert updated["session"]["tool_choice"] == "auto"


def test_unknown_fields_are_none_of_our_business():
    wire = Wire()
    session = {"type": "realtime", "tracing": "auto", "new": {"a": 1}, "truncation": "auto"}
    inbound, (updated,) = wire.tell("session.update", session=session)
    assert inbound == []
    assert updated["type"] == "session.updated"


WRONG = [
    ({"type": "transcription"}, "session.type"),
    ({"type": "other"}, "session.type"),
    ({"type": "realtime", "output_modalities": ["text", "audio"]}, "session.output_modalities"),
    ({"type": "realtime", "instructions": 5}, "session.instructions"),
    ({"type": "realtime", "instructions": "\x00"}, "session.instructions"),
    ({"type": "realtime", "max_output_tokens": 5_000}, "session.max_output_tokens"),
    ({"type": "realtime", "tools": {}}, "session.tools"),
    ({"type": "realtime", "tools": [{"type": "mcp"}]}, "session.tools[0].type"),
    ({"type": "realtime", "tools": [{"type": "function"}]}, "session.tools[0].name"),
    ({"type": "realtime", "tool_choice": "nobody"}, "session.tool_choice"),
    ({"audio": []}, "session.audio"),
    ({"audio": {"input": {"format": {"type": "opus"}}}}, "session.audio.input.format.type"),
    (
        {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}},
        "session.audio.input.format.rate",
    ),
    ({"audio": {"output": {"speed": 2}}}, "session.audio.output.speed"),
    ({"audio": {"output": {"speed": True}}}, "session.audio.output.speed"),
    ({"audio": {"output": {"voice": {}}}}, "session.audio.output.voice.id"),
    (
        {"audio": {"input": {"turn_detection": {"type": "client_vad"}}}},
        "session.audio.input.turn_detection.type",
    ),
    (
        {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 1.5}}}},
        "session.audio.input.turn_detection.threshold",
    ),
    (
        {"audio": {"input": {"turn_detection": {"create_response": "yes"}}}},
        "session.audio.input.turn_detection.create_response",
    ),
    ({"audio": {"input": {"transcription": "whisper"}}}, "session.audio.input.transcription"),
]


@pytest.mark.parametrize(("session", "param"), WRONG)
def test_a_wrong_value_is_named_and_nothing_applied(session, param):
    wire = Wire(GA)
    _, (before,) = wire.tell("session.update", session={"type": "realtime"})
    changed = {"instructions": "Rhyme.", **session}
    inbound, (refused,) = wire.tell("session.update", session=changed, event_id="e1")
    assert inbound == []
    error = refused["error"]
    assert (error["param"], error["event_id"]) == (param, "e1")
    assert error["code"] in ("invalid_value", "missing_required_parameter")
    _, (after,) = wire.tell("session.update", session={"type": "realtime"})
    assert after["session"] == before["session"]
    valid(GA, refused)


def test_endpoints_hear_of_it_as_well():
    with pytest.raises(Refusal) as refused:
        read_session({"modalities": ["audio"]}, Dialect.BETA)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "session.modalities")


def test_a_voice_that_happens_to_be_the_default_is_asked_for_too():
    wire = Wire(BETA)
    assert wire.tell("session.update", session={"voice": "alloy"})[0] == [
        SessionChange(voice="alloy")
    ]


def test_the_model_of_the_address_is_shown():
    wire = Wire(knock=Knock(query={"model": "gpt-realtime-2"}, headers={"authorization": "b"}))
    wire.tell("session.update", session={"type": "realtime", "model": "other"})
    assert wire.last("session.updated")["session"]["model"] == "gpt-realtime-2"


# Errors and the end


def test_the_longest_time_is_an_error():
    wire = Wire()
    (expired,) = wire.do("EndCall", reason="max_length")
    assert expired["error"]["code"] == "session_expired"
    assert wire.do("EndCall", reason="agent_ended") == []


@pytest.mark.parametrize("code", ErrorCode)
@pytest.mark.parametrize("dialect", [GA, BETA], ids=str)
def test_refusals_are_events(dialect, code):
    wire = Wire(dialect)
    (event,) = wire.take(wire.codec.error(code, "No.", fatal=True))
    valid(dialect, event)
    assert event["error"]["message"] == "No."
    closed = wire.codec.close_code(code)
    assert 4_000 <= closed < 5_000


@pytest.mark.parametrize(
    "code", ["llm_failed", "tts_failed", "tool_failed", "speech_busy", "records_delayed"]
)
def test_what_shows_elsewhere_is_no_error(code):
    assert Wire().do("SendError", code=code, message="No.") == []


def test_an_agent_without_a_policy_set_is_led_as_usual():
    codec = Realtime(Knock(headers={"authorization": "Bearer k"}), call_ref="x")
    codec.greet()
    (created,) = (json.loads(frame) for frame in codec.ready(READY))
    detection = created["session"]["audio"]["input"]["turn_detection"]
    assert detection["silence_duration_ms"] == Policy().endpoint_silence_ms
