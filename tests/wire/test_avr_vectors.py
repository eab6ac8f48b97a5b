"""The rows of AVR's protocol, in both directions, and the page that they follow."""

import json
import re
from pathlib import Path

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.domain.errors import EndReason, ErrorCode
from calls.domain.items import Item, ItemStatus, Role
from calls.ports.client import AudioEnd, AudioFrame, Playback
from calls.wire.avr.codec import PACE, TERMS, Avr
from calls.wire.avr.reading import MESSAGE_BYTES
from calls.wire.base import CLOSE_CODES, ClientAudio, Knock

ROOT = Path(__file__).resolve().parents[2]
ROWS = json.loads((ROOT / "tests/vectors/avr.json").read_text())
PAGE = (ROOT / "docs/protocols/avr.md").read_text()
IN = ROWS["client_to_server"]
OUT = ROWS["server_to_client"]
FIRST = [row for row in IN if row.get("first")]
LATER = [row for row in IN if not row.get("first")]


def frame_of(row):
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    return row["text"] if "text" in row else json.dumps(row["message"])


def params(rows):
    return [pytest.param(row, id=row["id"]) for row in rows]


def complaints(frames):
    return [json.loads(frame) for frame in frames]


def expected(row):
    return [{"type": "error", "message": row["error"]}] if "error" in row else []


# From the client


@pytest.mark.parametrize("row", params(FIRST))
def test_a_call_begins(row):
    codec = Avr(Knock(query=row.get("query", {})))
    hello = codec.open(frame_of(row))
    means = row["means"]
    assert (hello.agent, hello.caller, hello.metadata) == (
        means["agent"],
        means["caller"],
        means["metadata"],
    )
    assert (hello.mic_rate_hz, hello.push_to_talk, hello.greets) == (8_000, False, True)
    assert (hello.pace.playback, hello.pace.lead_ms) == (Playback.PACED, 160)
    assert complaints(codec.ready(None)) == expected(row)


def plain(inbound):
    match inbound:
        case ClientAudio(None, pcm):
            return {"type": "audio", "pcm": pcm.hex()}
        case ev.DigitPressed(digit=digit):
            return {"type": "dtmf_digit", "digit": digit}


@pytest.mark.parametrize("row", params(LATER))
def test_a_message_is_read(row):
    received = Avr(Knock()).receive(frame_of(row))
    meant = [] if row["means"] is None else [row["means"]]
    assert [plain(inbound) for inbound in received.inbound] == meant
    assert complaints(received.replies) == expected(row)


@pytest.mark.parametrize("row", params(row for row in LATER if "error" in row))
def test_a_complaint_is_made_once(row):
    codec = Avr(Knock())
    codec.receive(frame_of(row))
    again = codec.receive(frame_of(row))
    assert again.replies == ()
    assert [plain(inbound) for inbound in again.inbound] == (
        [] if row["means"] is None else [row["means"]]
    )


# From the server


def item_of(means):
    return Item(
        item_id=1,
        role=Role(means["role"]),
        text=means["text"],
        turn=1,
        status=ItemStatus(means["status"]),
        response_id=means["response_id"],
    )


OUTGOING = {
    "audio": lambda m: AudioFrame(m["response_id"], 0, bytes(AGENT.bytes(m["silence_ms"]))),
    "audio_end": lambda m: AudioEnd(m["response_id"], 0),
    "clear": lambda m: do.ClearAudio(m["response_id"]),
    "speech": lambda m: do.SendSpeech(do.SpeechMark(m["mark"]), 1),
    "transcript": lambda m: do.SendTranscript(1, m["text"], final=m["final"]),
    "response_text": lambda m: do.SendResponseText(m["response_id"], m["text"], 0),
    "made": lambda m: do.SendResponseMade(m["response_id"], 0, do.Outcome(m["outcome"])),
    "item": lambda m: do.SendItem(item_of(m)),
    "error": lambda m: do.SendError(ErrorCode(m["code"]), m["message"]),
    "end": lambda m: do.EndCall(EndReason(m["reason"])),
}


@pytest.mark.parametrize("row", params(OUT))
def test_what_happens_is_told_as_the_row_says(row):
    codec = Avr(Knock())
    told = [frame for means in row["means"] for frame in codec.send(OUTGOING[means["type"]](means))]
    assert [json.loads(frame) for frame in told] == row["messages"]


def test_an_error_that_ends_the_call_is_told_in_the_same_words():
    codec = Avr(Knock())
    (frame,) = codec.error(ErrorCode.BUSY, "All lines are busy.", fatal=True)
    assert json.loads(frame) == {"type": "error", "message": "All lines are busy."}
    assert codec.close_code(ErrorCode.BUSY) == 4503


def test_what_no_core_is_told_makes_no_frame():
    for effect in (
        do.SendPhase(do.Phase.LISTENING),
        do.SendResponseBegan(1, 1),
        do.SendTool("t1", "book", running=True),
        do.StartTimer("x", 1),
    ):
        assert Avr(Knock()).send(effect) == ()


# The page


def table(title):
    """The first cells of the table below this headline."""
    section = PAGE.partition(f"{title}\n")[2].partition("\n##")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_every_message_of_the_core_is_on_the_page_and_in_a_row():
    understood = {row["message"]["type"] for row in IN if row.get("means") and "message" in row}
    assert set(table("## From the client")) == understood


def test_every_message_to_the_core_is_on_the_page_and_in_a_row():
    written = {message["type"] for row in OUT for message in row["messages"]}
    assert set(table("## From the server")) == written


def test_every_error_of_a_message_is_on_the_page():
    told = {row["error"] for row in IN if "error" in row}
    fixed = {error for error in told if not error.startswith("Unsupported")}
    assert fixed <= set(table("### Errors"))
    assert "Unsupported message type: X" in table("### Errors")


def test_every_close_code_is_on_the_page():
    assert {str(code) for code in (1000, *CLOSE_CODES.values())} <= set(table("### Close codes"))


@pytest.mark.parametrize(
    "figure",
    [
        f"{MESSAGE_BYTES:,} bytes",
        f"{TERMS.start_ms // 1000} s",
        f"{PACE.lead_ms} ms",
        f"{TERMS.close_grace_ms} ms",
    ],
)
def test_every_limit_is_on_the_page(figure):
    assert figure in PAGE
