"""The rows of the Socket.IO protocol, and the page that they stand for."""

import json
import re
from pathlib import Path

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import EndReason, ErrorCode
from calls.domain.items import Item, Role
from calls.domain.timings import Turn, TurnTimings
from calls.ports.client import AudioEnd, AudioFrame, Playback
from calls.wire import socketio
from calls.wire.base import ClientAudio, Ready, WireError
from calls.wire.socketio import EVENTS_IN, EVENTS_OUT, AudioStreaming, Emitted

ROOT = Path(__file__).resolve().parents[2]
ROWS = json.loads((ROOT / "tests/vectors/socketio.json").read_text())
PAGE = (ROOT / "docs/protocols/socketio.md").read_text()
IN = ROWS["client_to_server"]
OUT = ROWS["server_to_client"]


def params(rows):
    return [pytest.param(row, id=row["id"]) for row in rows]


def codec(row):
    return AudioStreaming(row.get("query"), row.get("auth"))


# From the client


@pytest.mark.parametrize("row", params(row for row in IN if row.get("first") and "means" in row))
def test_an_event_before_the_call_is_read(row):
    hello = codec(row).open(row["event"], row.get("payload"))
    if row["means"] is None:
        assert hello is None
        return
    assert hello.agent == row["means"]["agent"]
    assert hello.metadata == row["means"].get("metadata", {})
    assert hello.mic_rate_hz == 24_000
    assert not hello.push_to_talk
    assert (hello.pace.playback, hello.pace.lead_ms) == (Playback.ASSUMED, None)


@pytest.mark.parametrize("row", params(row for row in IN if "error" in row))
def test_a_call_that_cannot_begin_is_refused(row):
    with pytest.raises(WireError) as refused:
        codec(row).open(row["event"], row.get("payload"))
    assert refused.value.code == row["error"]


PLAIN = {
    ClientAudio: lambda m: {"type": "audio", "pcm": m.pcm.hex()},
    ev.Muted: lambda m: {"type": "mute", "muted": m.muted},
    ev.TalkStopped: lambda _m: {"type": "talk", "pressed": False},
}


@pytest.mark.parametrize("row", params(row for row in IN if not row.get("first")))
def test_an_event_of_a_call_is_read(row):
    received = codec(row).receive(row["event"], row.get("payload"))
    assert [PLAIN[type(m)](m) for m in received.inbound] == row["means"]
    assert received.replies == ()


# From the server

READY = {
    "call_id": "c1",
    "resume_secret": "",
    "resumed": False,
    "agent_slug": "demo",
    "language": "en",
    "recording": True,
    "stt": "ears",
    "llm": "mind",
    "mic_position": 0,
    "push_to_talk": False,
    "max_call_ms": 0,
    "resume_ms": 0,
}
ITEM = Item(item_id=1, role=Role.AGENT, text="Four.", turn=1)
MESSAGES = {
    "audio": lambda m: AudioFrame(m["response_id"], m["start_ms"], bytes.fromhex(m["pcm"])),
    "audio_end": lambda m: AudioEnd(m["response_id"], m["length_ms"]),
    "text": lambda m: do.SendResponseText(m["response_id"], m["text"], m["start_ms"]),
    "transcript": lambda m: do.SendTranscript(m["turn"], m["text"], m["final"]),
    "clear": lambda m: do.ClearAudio(m["response_id"]),
    "began": lambda m: do.SendResponseBegan(m["response_id"], m["turn"]),
    "made": lambda m: do.SendResponseMade(m["response_id"], m["round"], do.Outcome(m["outcome"])),
    "end": lambda m: do.EndCall(EndReason(m["reason"])),
    "phase": lambda m: do.SendPhase(do.Phase(m["phase"])),
    "item": lambda _m: do.SendItem(ITEM),
    "tool": lambda m: do.SendTool(m["tool_call_id"], m["name"], m["running"]),
    "speech": lambda m: do.SendSpeech(do.SpeechMark(m["mark"]), m["turn"]),
    "turn": lambda _m: do.SendTurn(Turn(turn=1, timings=TurnTimings())),
    "error_noted": lambda m: do.SendError(ErrorCode(m["code"]), m["message"]),
}


def written(codec, message):
    fields = {name: value for name, value in message.items() if name != "type"}
    match message["type"]:
        case "ready":
            return codec.ready(Ready(**READY, **fields))
        case "refused":
            return codec.error(ErrorCode(fields["code"]), fields["message"])
        case kind:
            return codec.send(MESSAGES[kind](message))


@pytest.mark.parametrize("row", params(OUT))
def test_messages_are_written(row):
    speaker = codec(row)
    emitted = [event for message in row["messages"] for event in written(speaker, message)]
    assert emitted == [Emitted(*event) for event in row["emits"]]


# The page


def events(heading):
    """Names in the first column of the table under that heading."""
    table = PAGE.partition(heading)[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)`", table, re.MULTILINE)


def test_the_page_has_the_events_of_the_codec():
    assert events("## From the client") == [*EVENTS_IN, "disconnect"]
    assert events("## From the server") == list(EVENTS_OUT)


def test_every_event_of_the_page_has_a_row():
    understood = {row["event"] for row in IN if row.get("means")}
    assert understood == set(events("## From the client")) - {"disconnect"}
    assert {name for row in OUT for name, _ in row["emits"]} == set(events("## From the server"))


def test_payloads_on_the_page_are_those_of_the_rows():
    for name in ("backend_ready", "response_transcript_partial", "openai_error"):
        line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}`"))
        shown = json.loads(re.search(r"`(\{.+?\})`[ ,]", line)[1])
        sent = next(payload for row in OUT for event, payload in row["emits"] if event == name)
        assert shape(shown) == shape(sent)


def shape(value):
    return {k: shape(v) for k, v in value.items()} if isinstance(value, dict) else type(value)


def test_every_code_of_the_page_is_one():
    table = PAGE.partition("## Errors")[2].partition("\n## ")[0]
    codes = [
        code
        for line in table.splitlines()
        if line.startswith("| `")
        for code in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    assert set(codes) <= set(ErrorCode)
    refused = {row["error"] for row in IN if "error" in row}
    sent = [payload for row in OUT for event, payload in row["emits"] if event == "openai_error"]
    assert refused | {payload["error"]["code"] for payload in sent} <= set(codes)


def test_the_figures_of_the_page_are_those_of_the_code():
    terms = socketio.TERMS
    assert f"| {terms.message_bytes:,} bytes" in PAGE
    assert f"{socketio.METADATA_BYTES:,} bytes" in PAGE
    assert (socketio.MOST_KEPT_MS, terms.sound_reserve_bytes) == (5 * 60_000, 15 * 64_000)
    assert (terms.sound_bytes_per_s, terms.texts_per_s, terms.texts_reserve) == (192_000, 20, 40)
