"""Twilio's messages, the page that lists them, and what they mean here."""

import base64
import json
import re
from pathlib import Path

import pytest

from calls.audio import ulaw
from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.audio import AGENT
from calls.domain.errors import EndReason, ErrorCode
from calls.ports.client import AudioEnd, AudioFrame, Playback
from calls.wire.base import CLOSE_CODES, ClientAudio, Ready, WireError
from calls.wire.twilio import MESSAGE_BYTES, PARAMETER_CHARS, PARAMETERS, Twilio

ROOT = Path(__file__).resolve().parents[2]
ROWS = json.loads((ROOT / "tests/vectors/twilio.json").read_text())
PAGE = (ROOT / "docs/protocols/twilio.md").read_text()
IN = ROWS["from_twilio"]
OUT = ROWS["to_twilio"]
START = next(row["message"] for row in IN if row["id"] == "start")


def frame_of(row):
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    message = row["message"]
    return message if isinstance(message, str) else json.dumps(message)


def params(rows):
    return [pytest.param(row, id=row["id"]) for row in rows]


def begun():
    """A codec whose stream has started."""
    codec = Twilio()
    assert codec.open(json.dumps(START)) is not None
    return codec


def sound(response_id, start_ms, ms):
    return AudioFrame(response_id, start_ms, bytes(AGENT.bytes(ms)))


def messages(frames):
    return [json.loads(frame) for frame in frames]


# From Twilio

FIRST = [row for row in IN if row.get("first")]
LATER = [row for row in IN if not row.get("first")]


@pytest.mark.parametrize("row", params(row for row in FIRST if "means" in row))
def test_a_message_before_the_call_is_read(row):
    hello = Twilio().open(frame_of(row))
    means = row["means"]
    if means is None:
        assert hello is None
        return
    assert {"agent": hello.agent, "caller": hello.caller, "metadata": hello.metadata} == means
    assert hello.mic_rate_hz == 8_000
    assert hello.pace.playback is Playback.REPORTED
    assert hello.greets
    assert not hello.push_to_talk


@pytest.mark.parametrize("row", params(row for row in FIRST if "error" in row))
def test_a_bad_message_before_the_call_closes(row):
    with pytest.raises(WireError) as refused:
        Twilio().open(frame_of(row))
    assert refused.value.close_code == row["error"]


def plain(inbound):
    match inbound:
        case ClientAudio(None, pcm):
            return {"type": "sound", "pcm": pcm.hex()}
        case ev.DigitPressed(digit=digit):
            return {"type": "digit", "digit": digit}
        case ev.Played(response_id=response_id, played_ms=played_ms, buffered_ms=buffered_ms):
            return {
                "type": "played",
                "response_id": response_id,
                "played_ms": played_ms,
                "buffered_ms": buffered_ms,
            }
        case ev.HungUp():
            return {"type": "hung_up"}
    raise AssertionError(inbound)


def prepared(row):
    codec = begun()
    for step in row.get("after", ()):
        if "clear" in step:
            codec.send(do.ClearAudio(step["clear"]))
        else:
            codec.send(sound(**step))
    return codec


@pytest.mark.parametrize("row", params(row for row in LATER if "means" in row))
def test_a_later_message_is_read(row):
    received = prepared(row).receive(frame_of(row))
    wanted = [] if row["means"] is None else [row["means"]]
    assert [plain(inbound) for inbound in received.inbound] == wanted
    assert received.replies == ()


@pytest.mark.parametrize("row", params(row for row in LATER if "error" in row))
def test_a_bad_later_message_is_left_out(row):
    codec = prepared(row)
    with pytest.raises(WireError) as refused:
        codec.receive(frame_of(row))
    assert (refused.value.code, refused.value.close_code) == (row["error"], None)
    assert codec.error(refused.value.code, "It is bad.", fatal=False) == ()


def test_too_much_is_too_much():
    for frame in (" " * (MESSAGE_BYTES + 1), '"' + "é" * MESSAGE_BYTES):
        with pytest.raises(WireError) as refused:
            begun().receive(frame)
        assert (refused.value.code, refused.value.close_code) == (ErrorCode.TOO_LARGE, 4413)


@pytest.mark.parametrize(
    "parameters",
    [
        {f"p{number}": "x" for number in range(PARAMETERS + 1)},
        {"p": "x" * (PARAMETER_CHARS + 1)},
        {"p" * (PARAMETER_CHARS + 1): "x"},
        {"p": "\x00"},
        {"p": "\ud800"},
    ],
    ids=["too many", "too long", "too long a name", "NUL", "half a pair"],
)
def test_parameters_that_are_refused(parameters):
    message = {"event": "start", "start": {"streamSid": "MZ1", "customParameters": parameters}}
    with pytest.raises(WireError) as refused:
        Twilio().open(json.dumps(message))
    assert refused.value.close_code == 4400


def test_no_start_is_an_end():
    codec = Twilio()
    assert codec.greet() is None
    with pytest.raises(WireError) as refused:
        codec.late()
    assert (refused.value.code, refused.value.close_code) == (ErrorCode.START_TIMEOUT, 4408)


# To Twilio


def written(means):
    match means["type"]:
        case "audio":
            return begun().send(sound(means["response_id"], means["start_ms"], means["ms"]))
        case "clear":
            return begun().send(do.ClearAudio(means["response_id"]))
    raise AssertionError(means)


@pytest.mark.parametrize("row", params(OUT))
def test_a_message_is_written_as_the_row_says(row):
    sent = messages(written(row["means"]))
    for message in sent:
        if message["event"] == "media":
            payload = base64.b64decode(message["media"]["payload"], validate=True)
            assert set(payload) == {0xFF}
            message["media"]["payload"] = "silence"
    assert sent == row["messages"]


def test_what_twilio_cannot_be_told_makes_no_frame():
    codec = begun()
    told = Ready(
        call_id="1", resume_secret="", resumed=False, agent_slug="demo", agent_name="Demo",
        language="en", notice="", recording=True, stt="", llm="", tts="", mic_position=0,
        push_to_talk=False, max_call_ms=1, resume_ms=1,
    )  # fmt: skip
    assert codec.ready(told) == ()
    assert codec.error(ErrorCode.BUSY, "Busy.", fatal=True) == ()
    quiet = (
        do.SendPhase(do.Phase.LISTENING),
        do.SendTranscript(1, "Hello", final=True),
        do.SendResponseText(1, "Hello", 0),
        do.SendError(ErrorCode.STT_FAILED, "Sorry"),
        do.EndCall(EndReason.AGENT_ENDED),
    )
    assert [codec.send(effect) for effect in quiet] == [()] * len(quiet)


def sines(ms):
    """Sound that is not silence."""
    return b"".join(
        ((number * 997) % 16_000 - 8_000).to_bytes(2, "little", signed=True)
        for number in range(AGENT.samples(ms))
    )


def test_all_of_a_response_arrives_and_no_more():
    codec, pcm = begun(), sines(500)
    step = AGENT.bytes(100)
    frames = [
        frame
        for at in range(0, len(pcm), step)
        for frame in codec.send(AudioFrame(7, AGENT.ms_of(at), pcm[at : at + step]))
    ]
    frames += codec.send(AudioEnd(7, 500))
    sent = messages(frames)
    payload = b"".join(
        base64.b64decode(message["media"]["payload"])
        for message in sent
        if message["event"] == "media"
    )
    assert abs(len(payload) - 4_000) <= 1
    marks = [message["mark"]["name"] for message in sent if message["event"] == "mark"]
    assert marks == ["r7:100", "r7:200", "r7:300", "r7:400", "r7:500"]
    assert codec.send(AudioEnd(7, 500)) == ()


def test_nothing_of_a_cleared_response_is_in_the_next():
    codec = begun()
    codec.send(AudioFrame(1, 0, sines(100)))
    codec.send(do.ClearAudio(1))
    first, _ = messages(codec.send(sound(2, 0, 100)))
    assert set(ulaw.decode(base64.b64decode(first["media"]["payload"]))) == {0}


def test_two_streams_do_not_share_anything():
    one, two = begun(), begun()
    one.send(sound(1, 0, 100))
    mark = json.dumps({"event": "mark", "mark": {"name": "r1:100"}})
    assert two.receive(mark).inbound == ()
    assert len(one.receive(mark).inbound) == 1
    assert one.receive(mark).inbound == ()


def test_marks_that_never_come_back_are_bounded_by_the_lead():
    """The playout sends so much ahead and no more; the codec keeps a mark for each of its frames."""
    hello = Twilio().open(json.dumps(START))
    assert hello.pace.lead_ms is not None
    assert hello.pace.lead_ms >= 2 * hello.pace.frame_ms


# The page


def table(title):
    """The first cells of the table below this headline."""
    section = PAGE.partition(f"{title}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| `?([^|`]+?)`? \|", section, re.MULTILINE)
    return [cell for cell in cells if cell not in ("message", "code") and set(cell) - set("-| ")]


def test_every_message_of_twilio_on_the_page_has_a_row_that_is_understood():
    understood = {
        row["message"]["event"]
        for row in IN
        if "means" in row and row["id"] != "an event of tomorrow"
    }
    assert sorted(table("## From Twilio")) == sorted(understood)


def test_every_message_to_twilio_on_the_page_has_a_row_that_is_written():
    wrote = {message["event"] for row in OUT for message in row["messages"]}
    assert sorted(table("## To Twilio")) == sorted(wrote)


def test_every_close_code_is_on_the_page():
    codes = {int(cell) for cell in table("## Close codes") if cell.isdigit()}
    assert {*CLOSE_CODES.values(), 1000} - {4409, 4410} <= codes


def test_the_examples_of_the_page_are_messages():
    examples = [json.loads(text) for text in re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL)]
    assert [example["event"] for example in examples] == ["start"]
    assert Twilio().open(json.dumps(examples[0])).caller
