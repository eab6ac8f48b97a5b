"""Sound: the microphone's clock, turns that the client decides, and G.711."""

import base64
import json

import numpy as np
import pytest

from calls.domain import events as ev
from calls.wire.base import ClientAudio
from calls.wire.realtime.sound import SoundFormat, SoundIn, SoundOut
from tests.wire.realtime.driving import BETA, GA, Wire, sound

MANUAL = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}


def formats(name):
    return {
        "type": "realtime",
        "audio": {k: {"format": {"type": name}} for k in ("input", "output")},
    }


def append(wire, audio):
    return wire.tell("input_audio_buffer.append", audio=audio)


def tone(ms, rate_hz):
    at = np.arange(rate_hz * ms // 1000)
    return (8_000 * np.sin(2 * np.pi * 440 * at / rate_hz)).astype("<i2").tobytes()


def test_sound_reaches_the_call():
    wire = Wire()
    inbound, replies = append(wire, sound(170))
    assert inbound == [ClientAudio(None, bytes(170 * 48))]
    assert replies == []


def test_half_a_sample_waits_for_its_other_half():
    wire = Wire()
    pcm = tone(10, 24_000)
    heard = b""
    for piece in (pcm[:7], pcm[7:8], pcm[8:101], pcm[101:]):
        inbound, _ = append(wire, base64.b64encode(piece).decode())
        heard += b"".join(audio.pcm for audio in inbound)
    assert heard == pcm


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        ("####", "invalid_value"),
        ("AAA", "invalid_value"),
        ("é", "invalid_value"),
        (None, "missing_required_parameter"),
        (5, "missing_required_parameter"),
    ],
)
def test_what_is_no_sound(audio, code):
    wire = Wire()
    inbound, (refused,) = append(wire, audio)
    assert inbound == []
    assert refused["error"]["code"] == code


# Turns that the client decides


def test_a_client_decides_its_turns():
    wire = Wire()
    wire.tell("session.update", session=MANUAL)
    for _ in range(12):
        assert append(wire, sound(100)) == ([], [])
    inbound, replies = wire.tell("input_audio_buffer.commit")
    assert replies == []
    assert (inbound[0], inbound[-1]) == (ev.TalkStarted(), ev.TalkStopped())
    assert sum(len(audio.pcm) for audio in inbound[1:-1]) == 1_200 * 48
    wire.said.clear()
    wire.do("SendSpeech", mark="started", turn=1)
    wire.do("SendSpeech", mark="committed", turn=1)
    # Where the client decides, nobody tells it that it speaks.
    assert wire.said_types() == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]


@pytest.mark.parametrize("ms", [0, 99])
def test_too_little_to_commit(ms):
    wire = Wire()
    wire.tell("session.update", session=MANUAL)
    append(wire, sound(ms))
    inbound, (refused,) = wire.tell("input_audio_buffer.commit", event_id="e1")
    assert inbound == []
    assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
    assert refused["error"]["event_id"] == "e1"


def test_what_is_cleared_is_not_committed():
    wire = Wire()
    wire.tell("session.update", session=MANUAL)
    append(wire, sound(500))
    inbound, (cleared,) = wire.tell("input_audio_buffer.clear")
    assert inbound == []
    assert cleared["type"] == "input_audio_buffer.cleared"
    assert wire.tell("input_audio_buffer.commit")[0] == []


def test_two_minutes_wait_and_no_more():
    wire = Wire()
    wire.tell("session.update", session=MANUAL)
    for _ in range(6):
        assert append(wire, sound(20_000)) == ([], [])
    inbound, (refused,) = append(wire, sound(100))
    assert inbound == []
    assert refused["error"]["code"] == "input_audio_buffer_full"
    inbound, _ = wire.tell("input_audio_buffer.commit")
    assert len(inbound) == 240 + 2


def test_the_clock_counts_what_the_call_never_had():
    wire = Wire()
    wire.tell("session.update", session=MANUAL)
    append(wire, sound(5_000))
    wire.tell("input_audio_buffer.clear")
    vad = {"type": "server_vad", "prefix_padding_ms": 100}
    wire.tell("session.update", session={"audio": {"input": {"turn_detection": vad}}})
    append(wire, sound(3_000))
    wire.do("SendSpeech", mark="started", turn=1, position_ms=1_000)
    assert wire.said[-1]["audio_start_ms"] == 5_900


def test_what_was_committed_the_call_has_had():
    wire = Wire()
    wire.tell("session.update", session=MANUAL)
    append(wire, sound(5_000))
    wire.tell("input_audio_buffer.commit")
    vad = {"type": "server_vad", "prefix_padding_ms": 100}
    wire.tell("session.update", session={"audio": {"input": {"turn_detection": vad}}})
    append(wire, sound(3_000))
    wire.do("SendSpeech", mark="started", turn=1, position_ms=6_000)
    assert wire.said[-1]["audio_start_ms"] == 5_900


def test_the_server_ends_an_utterance_when_it_is_told():
    wire = Wire()
    append(wire, sound(1_000))
    _, (refused,) = wire.tell("input_audio_buffer.commit")
    assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
    wire.do("SendSpeech", mark="started", turn=1, position_ms=500)
    assert wire.tell("input_audio_buffer.commit")[0] == [ev.TalkStopped()]


def test_an_utterance_does_not_reach_beyond_the_sound():
    wire = Wire()
    append(wire, sound(1_000))
    wire.do("SendSpeech", mark="started", turn=1, position_ms=100)
    wire.do("SendSpeech", mark="committed", turn=1, position_ms=900)
    began, ended = wire.said[0], wire.said[1]
    assert (began["audio_start_ms"], ended["audio_end_ms"]) == (0, 1_000)


# G.711


@pytest.mark.parametrize("form", [SoundFormat.ULAW, SoundFormat.ALAW], ids=str)
def test_telephone_sound_both_ways(form):
    wire = Wire()
    wire.tell("session.update", session=formats(form))
    spoken = b"".join(SoundOut(form).feed(tone(1_000, 24_000)))
    inbound, _ = append(wire, base64.b64encode(spoken).decode())
    heard = np.frombuffer(inbound[0].pcm, "<i2")
    assert abs(len(heard) - 24_000) < 400
    assert 5_000 < np.abs(heard[2_000:-2_000]).max() < 9_000
    wire.begins()
    wire.send(audio_frame(tone(500, 24_000)))
    wire.send(audio_frame(tone(500, 24_000), start_ms=500))
    wire.do("SendResponseMade", response_id=1, round=0, outcome="complete")
    wire.do("AudioEnd", response_id=1, length_ms=1_000)
    said = b"".join(
        base64.b64decode(e["delta"])
        for e in wire.said
        if e["type"] == "response.output_audio.delta"
    )
    assert abs(len(said) - 8_000) <= 1
    assert wire.last("response.done")["response"]["audio"]["output"]["format"] == {"type": form}


def audio_frame(pcm, start_ms=0):
    from calls.ports.client import AudioFrame

    return AudioFrame(1, start_ms, pcm)


def test_the_beta_names_its_formats():
    wire = Wire(BETA)
    wire.tell("session.update", session={"input_audio_format": "g711_ulaw"})
    shown = wire.last("session.updated")["session"]
    assert shown["input_audio_format"] == "g711_ulaw"
    assert shown["output_audio_format"] == "pcm16"
    inbound, _ = append(wire, sound(100, 8_000, 1))
    assert 90 * 48 < len(inbound[0].pcm) <= 100 * 48


def test_the_rate_that_the_call_was_told_stays():
    ulaw = SoundIn(SoundFormat.ULAW, 24_000)
    pcm = b"".join(ulaw.feed(bytes(800))[0] for _ in range(10))
    assert abs(len(pcm) // 2 - 24_000) < 100


@pytest.mark.parametrize("dialect", [GA, BETA], ids=str)
def test_a_long_piece_comes_in_short_messages(dialect):
    wire = Wire(dialect)
    wire.begins()
    frames = wire.codec.send(audio_frame(bytes(48 * 10_500)))
    assert max(len(frame) for frame in frames) < 100_000
    deltas = [json.loads(frame) for frame in frames if '"delta"' in frame]
    assert sum(len(base64.b64decode(event["delta"])) for event in deltas) == 48 * 10_500
