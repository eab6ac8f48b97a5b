"""What rows cannot say of AVR's codec: order over time, sound, and anything whatever."""

import base64
import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.domain.errors import ErrorCode
from calls.ports.client import AudioEnd, AudioFrame
from calls.wire.avr.codec import EARLY_MESSAGES, KEPT_DIGITS, Avr
from calls.wire.avr.reading import MESSAGE_BYTES
from calls.wire.base import ClientAudio, Knock, WireError

INIT = json.dumps({"type": "init", "uuid": "u1"})


def audio(pcm):
    return json.dumps({"type": "audio", "audio": base64.b64encode(pcm).decode()})


def tone(rate_hz, ms, hz, level=8_000):
    count = rate_hz * ms // 1000
    samples = (int(level * math.sin(2 * math.pi * hz * n / rate_hz)) for n in range(count))
    return struct.pack(f"<{count}h", *samples)


def frames_of(pcm, ms=40):
    step = AGENT.bytes(ms)
    return [pcm[at : at + step] for at in range(0, len(pcm), step)]


def sent_sound(frames):
    messages = [json.loads(frame) for frame in frames]
    return [base64.b64decode(m["audio"]) for m in messages if m["type"] == "audio"]


def said(codec, response_id, pcm):
    out = [f for pcm in frames_of(pcm) for f in codec.send(AudioFrame(response_id, 0, pcm))]
    return [*out, *codec.send(AudioEnd(response_id, 0))]


def loudest_hz(pcm):
    samples = np.frombuffer(pcm, "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return int(np.argmax(spectrum)) * 8_000 / len(samples)


# Before the call


def test_the_core_speaks_first():
    assert Avr(Knock()).greet() is None


def test_what_comes_before_init_is_kept_and_taken_once_the_call_runs():
    codec = Avr(Knock())
    for frame in (
        audio(b"\x01\x00"),
        audio(b"\x02\x00"),
        json.dumps({"type": "dtmf_digit", "digit": "5"}),
    ):
        assert codec.open(frame) is None
    assert codec.open(INIT) is not None
    received = codec.receive(audio(b"\x03\x00"))
    assert received.inbound == (
        ClientAudio(None, b"\x01\x00\x02\x00"),
        ev.DigitPressed(digit="5"),
        ClientAudio(None, b"\x03\x00"),
    )
    assert codec.receive(audio(b"\x04\x00")).inbound == (ClientAudio(None, b"\x04\x00"),)


def test_of_much_early_sound_the_latest_three_seconds_are_kept():
    codec = Avr(Knock())
    for number in range(300):
        codec.open(audio(struct.pack("<h", number) * 160))
    codec.open(INIT)
    (kept,) = codec.receive(INIT).inbound
    assert len(kept.pcm) == 48_000
    assert kept.pcm[:2] == struct.pack("<h", 150)


def test_of_many_early_digits_the_first_are_kept():
    codec = Avr(Knock())
    for _ in range(KEPT_DIGITS + 5):
        codec.open(json.dumps({"type": "dtmf_digit", "digit": "1"}))
    codec.open(INIT)
    assert len(codec.receive(INIT).inbound) == KEPT_DIGITS


def test_a_flood_before_init_closes_the_socket():
    codec = Avr(Knock())
    for _ in range(EARLY_MESSAGES):
        codec.open("{}")
    with pytest.raises(WireError) as refused:
        codec.open("{}")
    assert (refused.value.code, refused.value.close_code) == (ErrorCode.TOO_FAST, 4429)


def test_rubbish_before_init_is_answered_once_the_call_runs():
    codec = Avr(Knock())
    assert codec.open("rubbish") is None
    assert codec.open("more rubbish") is None
    assert codec.open(INIT) is not None
    (told,) = codec.ready(None)
    assert json.loads(told) == {"type": "error", "message": "Invalid message format"}
    assert codec.ready(None) == ()
    assert codec.receive("rubbish").replies == ()


def test_who_speaks_without_init_is_served_without_an_id():
    codec = Avr(Knock(query={"from": "2000"}))
    codec.open(audio(b"\x01\x00"))
    hello = codec.late()
    assert (hello.caller, hello.metadata) == ("2000", {"from": "2000"})
    assert codec.receive(INIT).inbound == (ClientAudio(None, b"\x01\x00"),)


@pytest.mark.parametrize("frame", ["{}", json.dumps({"type": "dtmf_digit", "digit": "1"})])
def test_who_says_nothing_is_let_go(frame):
    codec = Avr(Knock())
    codec.open(frame)
    with pytest.raises(WireError) as refused:
        codec.late()
    assert (refused.value.code, refused.value.close_code) == (ErrorCode.START_TIMEOUT, 4408)


def test_what_the_address_says_is_bounded():
    query = {f"field{number}": "x" * 400 for number in range(50)}
    query |= {"long": "x" * 501, "n" * 101: "x", "nul": "a\x00b", "half": "\ud800"}
    metadata = Avr(Knock(query=query)).open(INIT).metadata
    assert len(json.dumps(metadata)) < 9_000
    assert not metadata.keys() & {"long", "n" * 101, "nul", "half"}


def test_no_key_of_the_configuration_is_kept():
    config = {"api_key": "sk-123", "nested": {"token": "t"}}
    init = json.dumps({"type": "init", "uuid": "u1", "provider_config": config})
    hello = Avr(Knock(query={"secret": "hidden"})).open(init)
    shown = json.dumps(hello.metadata) + repr(hello)
    assert not any(word in shown for word in ("sk-123", "token", "hidden"))


@pytest.mark.parametrize("read", ["open", "receive"])
def test_a_message_that_is_too_large_closes_the_socket(read):
    with pytest.raises(WireError) as refused:
        getattr(Avr(Knock()), read)("x" * (MESSAGE_BYTES + 1))
    assert (refused.value.code, refused.value.close_code) == (ErrorCode.TOO_LARGE, 4413)


# Sound


def test_every_frame_is_of_20_ms_and_nothing_is_lost():
    codec = Avr(Knock())
    out = sent_sound(said(codec, 1, tone(24_000, 1_010, 440)))
    assert {len(pcm) for pcm in out} == {320}
    assert len(out) == 51
    assert out[-1].endswith(bytes(100)), "filled up with silence"
    assert any(out[-1]), "the last syllable is there"


def test_a_tone_keeps_its_pitch():
    out = sent_sound(said(Avr(Knock()), 1, tone(24_000, 1_000, 440)))
    assert abs(loudest_hz(b"".join(out)) - 440) < 3


def test_however_the_sound_is_cut_the_frames_are_the_same():
    pcm = tone(24_000, 500, 700)
    one, other = Avr(Knock()), Avr(Knock())
    whole = [*one.send(AudioFrame(1, 0, pcm)), *one.send(AudioEnd(1, 0))]
    assert sent_sound(whole) == sent_sound(said(other, 1, pcm))


def test_two_calls_share_nothing():
    """Interleaved, each call hears the very frames that it would hear alone."""
    low, high = tone(24_000, 600, 300), tone(24_000, 600, 1_500)
    alone = [sent_sound(said(Avr(Knock()), 1, pcm)) for pcm in (low, high)]
    calls = [Avr(Knock()), Avr(Knock())]
    heard = [[], []]
    for pair in zip(frames_of(low), frames_of(high), strict=True):
        for number, pcm in enumerate(pair):
            heard[number] += calls[number].send(AudioFrame(1, 0, pcm))
    for number, codec in enumerate(calls):
        heard[number] += codec.send(AudioEnd(1, 0))
    assert [sent_sound(frames) for frames in heard] == alone


def test_nothing_of_a_cut_answer_is_in_the_next_one():
    codec = Avr(Knock())
    codec.send(AudioFrame(1, 0, tone(24_000, 50, 1_000)))
    codec.send(do.ClearAudio(1))
    assert codec.send(AudioFrame(1, 50, tone(24_000, 500, 1_000))) == ()
    assert codec.send(AudioEnd(1, 100)) == ()
    fresh = sent_sound(said(codec, 2, bytes(AGENT.bytes(100))))
    assert not any(b"".join(fresh))


def test_an_answer_whose_end_was_never_told_ends_where_the_next_begins():
    codec = Avr(Knock())
    first = codec.send(AudioFrame(1, 0, tone(24_000, 30, 500)))
    then = codec.send(AudioFrame(2, 0, bytes(AGENT.bytes(40))))
    assert len(sent_sound(first)) == 1
    assert len(sent_sound(then)) == 2
    assert any(sent_sound(then)[0][:150])


def test_words_that_come_after_an_answer_was_told_are_not_told():
    codec = Avr(Knock())
    codec.send(do.SendResponseText(1, "Hello.", 0))
    assert len(codec.send(do.SendResponseMade(1, 0, do.Outcome.COMPLETE))) == 1
    assert codec.send(do.SendResponseText(1, "More.", 0)) == ()
    assert codec.send(do.SendResponseMade(1, 1, do.Outcome.COMPLETE)) == ()


# Anything whatever

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {"type": st.sampled_from(["init", "audio", "dtmf_digit", "reset"]) | ANY_JSON},
    optional=dict.fromkeys(("uuid", "audio", "digit", "provider_config"), ANY_JSON),
).map(json.dumps)
ANY_FRAME = st.one_of(
    st.text(max_size=60), st.binary(max_size=60), ANY_JSON.map(json.dumps), NEARLY
)


@given(st.lists(ANY_FRAME, max_size=20), st.lists(ANY_FRAME, max_size=20))
def test_no_message_whatever_breaks_the_codec(early, late):
    codec = Avr(Knock())
    told = []
    for frame in early:
        hello = codec.open(frame)
        assert hello is None or json.dumps(dict(hello.metadata))
    told += codec.ready(None)
    for frame in late:
        received = codec.receive(frame)
        told += received.replies
        for inbound in received.inbound:
            assert isinstance(inbound, ClientAudio | ev.DigitPressed)
            assert not isinstance(inbound, ClientAudio) or len(inbound.pcm) % 2 == 0
    kinds = [json.loads(frame)["message"].partition(": ")[0::2] for frame in told]
    assert len(kinds) <= 6
    assert all(json.loads(frame)["message"].isprintable() for frame in told)


def test_json_that_is_nested_without_end_is_no_message():
    (told,) = Avr(Knock()).receive("[" * 60_000).replies
    assert json.loads(told)["message"] == "Invalid message format"


@given(st.text(max_size=200))
def test_what_is_repeated_of_a_type_is_harmless(kind):
    told = Avr(Knock()).receive(json.dumps({"type": kind})).replies
    for frame in told:
        message = json.loads(frame)["message"]
        assert message.isascii()
        assert message.isprintable()
        assert len(message) <= 70
