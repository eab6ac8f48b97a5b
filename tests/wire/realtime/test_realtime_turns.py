"""Whole turns: what is said to the client, in which order, in both dialects."""

import base64
import json

import pytest

from tests.wire.realtime.driving import BETA, GA, Wire, valid

WITH_WORDS = {
    GA: {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}},
    BETA: {"input_audio_transcription": {"model": "whisper-1"}},
}
SPOKEN = {
    GA: [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ],
    BETA: [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "conversation.item.created",
        "response.content_part.added",
        "response.audio_transcript.delta",
        "response.audio.delta",
        "response.audio_transcript.delta",
        "response.audio.delta",
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ],
}
BOTH = pytest.mark.parametrize("dialect", [GA, BETA], ids=str)


def spoken_turn(dialect):
    wire = Wire(dialect)
    wire.tell("session.update", session=WITH_WORDS[dialect])
    wire.said.clear()
    wire.caller_speaks()
    wire.begins()
    for text, start_ms in (("Good day. ", 0), ("How are you?", 200)):
        wire.do("SendResponseText", response_id=1, text=text, start_ms=start_ms)
        wire.do("AudioFrame", response_id=1, start_ms=start_ms, ms=200)
    wire.do("SendResponseMade", response_id=1, round=0, outcome="complete")
    wire.do("AudioEnd", response_id=1, length_ms=400)
    return wire


@BOTH
def test_a_spoken_turn(dialect):
    wire = spoken_turn(dialect)
    assert wire.said_types() == SPOKEN[dialect]
    for event in wire.said:
        valid(dialect, event)
    ids = [event["event_id"] for event in wire.said]
    assert len(set(ids)) == len(ids)


@BOTH
def test_what_the_items_of_a_spoken_turn_hold(dialect):
    wire = spoken_turn(dialect)
    done = wire.last("response.done")["response"]
    (said,) = done["output"]
    kind = "output_audio" if dialect is GA else "audio"
    assert said["content"] == [{"type": kind, "transcript": "Good day. How are you?"}]
    assert (said["status"], said["role"], done["status"]) == ("completed", "assistant", "completed")
    assert done["conversation_id"]
    added = "conversation.item.added" if dialect is GA else "conversation.item.created"
    user, agent = [event for event in wire.said if event["type"] == added]
    # The agents SDK throws where the key is not there.
    assert user["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert user["previous_item_id"] is None
    assert agent["previous_item_id"] == user["item"]["id"]
    part = wire.last("response.content_part.done")["part"]
    assert part == {"type": "audio", "transcript": "Good day. How are you?"}


@BOTH
def test_an_utterance_lies_where_the_client_can_cut_its_own_sound(dialect):
    wire = spoken_turn(dialect)
    began, ended = (
        wire.last(f"input_audio_buffer.speech_{what}") for what in ("started", "stopped")
    )
    assert began["audio_start_ms"] == 1_000 - 300
    assert ended["audio_end_ms"] == 2_000 + 600
    assert began["item_id"] == ended["item_id"] == wire.last(SPOKEN[dialect][2])["item_id"]
    words = wire.last("conversation.item.input_audio_transcription.completed")
    assert words["usage"] == {"type": "duration", "seconds": 1.9}


@BOTH
def test_an_answer_in_text_alone(dialect):
    wire = Wire(dialect)
    text = {"type": "realtime", "output_modalities": ["text"]}
    wire.tell("session.update", session=text if dialect is GA else {"modalities": ["text"]})
    wire.said.clear()
    wire.begins()
    wire.do("SendResponseText", response_id=1, text="Good day.", start_ms=0)
    wire.do("AudioFrame", response_id=1, start_ms=0, ms=20)
    wire.do("SendResponseMade", response_id=1, round=0, outcome="complete")
    wire.do("AudioEnd", response_id=1, length_ms=0)
    name = "output_text" if dialect is GA else "text"
    assert wire.said_types() == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added" if dialect is GA else "conversation.item.created",
        "response.content_part.added",
        f"response.{name}.delta",
        f"response.{name}.done",
        "response.content_part.done",
        *(["conversation.item.done"] if dialect is GA else []),
        "response.output_item.done",
        "response.done",
    ]
    for event in wire.said:
        valid(dialect, event)
    assert wire.last("response.content_part.added")["part"] == {"type": "text", "text": ""}
    assert wire.said[-1]["response"]["output"][0]["content"] == [
        {"type": name, "text": "Good day."}
    ]


def test_sound_may_be_sent_before_the_making_is_over():
    wire = Wire()
    wire.begins()
    wire.do("SendResponseText", response_id=1, text="Yes.", start_ms=0)
    wire.do("AudioEnd", response_id=1, length_ms=0)
    assert "response.done" not in wire.said_types()
    wire.do("SendResponseMade", response_id=1, round=0, outcome="complete")
    assert wire.said_types()[-1] == "response.done"


def test_words_of_the_caller_come_as_they_are_understood():
    wire = Wire()
    wire.tell("session.update", session=WITH_WORDS[GA])
    wire.do("SendSpeech", mark="started", turn=1, position_ms=1_000)
    # Before there is an item, no client would know whose words these are.
    assert wire.do("SendTranscript", turn=1, text="I", final=False) == []
    wire.do("SendSpeech", mark="committed", turn=1, position_ms=2_000)
    delta = "conversation.item.input_audio_transcription.delta"
    told = [wire.last(delta)["delta"]]
    for partial in ("I am", "I am", "Eye am", "I am here"):
        told += [
            event["delta"]
            for event in wire.do("SendTranscript", turn=1, text=partial, final=False)
            if event["type"] == delta
        ]
    assert told == ["I", " am", " here"]
    (done,) = wire.do("SendTranscript", turn=1, text="I am here.", final=True)
    assert done["transcript"] == "I am here."
    assert wire.do("SendTranscript", turn=1, text="Late", final=True) == []


def test_words_nobody_asked_for_are_not_told():
    wire = Wire()
    wire.caller_speaks(text="Secret.")
    assert "Secret." not in json.dumps(wire.said)


def test_words_that_could_not_be_understood():
    wire = Wire()
    wire.tell("session.update", session=WITH_WORDS[GA])
    wire.do("SendSpeech", mark="started", turn=1, position_ms=1_000)
    wire.do("SendSpeech", mark="committed", turn=1, position_ms=2_000)
    (failed,) = wire.do("SendError", code="stt_failed", message="No.")
    assert failed["type"] == "conversation.item.input_audio_transcription.failed"
    assert failed["item_id"] == wire.last("input_audio_buffer.committed")["item_id"]
    valid(GA, failed)
    assert wire.do("SendError", code="stt_failed", message="No.") == []


def test_speech_that_was_none():
    wire = Wire()
    wire.do("SendSpeech", mark="started", turn=1, position_ms=1_000)
    assert [e["type"] for e in wire.do("SendSpeech", mark="dropped", turn=1)] == [
        "input_audio_buffer.speech_stopped"
    ]
    assert wire.do("SendSpeech", mark="dropped", turn=1) == []


@BOTH
def test_dialects_are_not_mixed(dialect):
    others = set(SPOKEN[BETA if dialect is GA else GA]) - set(SPOKEN[dialect])
    assert not others & set(spoken_turn(dialect).said_types())


def test_thrive_reads_deltas_from_objects():
    wire = Wire(None)
    wire.tell("session.update", session={"modalities": ["text", "audio"], "voice": "alloy"})
    wire.tell("session.update", session={"client_secret": "ek_1"})
    wire.tell("session.update", session={"input_audio_transcription": {"model": "whisper-1"}})
    wire.caller_speaks(text="Hi.")
    wire.begins()
    wire.do("AudioFrame", response_id=1, start_ms=0, ms=10)
    delta = wire.last("response.audio.delta")["delta"]
    assert delta["type"] == "audio.delta"
    assert base64.b64decode(delta["audio"]) == bytes(480)
    words = wire.last("conversation.item.input_audio_transcription.completed")
    assert words["transcription"] == words["transcript"] == "Hi."
