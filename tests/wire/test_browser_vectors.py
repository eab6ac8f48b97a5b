"""The rows that Python and JavaScript share, and the page that both follow."""

import json
import re
from pathlib import Path

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import EndReason, ErrorCode
from calls.domain.items import Item, ItemStatus, Role, Source
from calls.domain.timings import STAGES, Turn, TurnTimings
from calls.engine.line import END_CODE, GONE_CODE, TAKEN_OVER_CODE
from calls.ports.client import AudioEnd, AudioFrame
from calls.wire.base import CLOSE_CODES, ClientAudio, Ready, TurnsMode, WireError
from calls.wire.browser import REPORTING, Browser

ROOT = Path(__file__).resolve().parents[2]
ROWS = json.loads((ROOT / "tests/vectors/browser-v1.json").read_text())
PAGE = (ROOT / "docs/protocols/browser.md").read_text()
IN = ROWS["client_to_server"]
OUT = ROWS["server_to_client"]


def frame_of(row):
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    message = row["message"]
    return message if isinstance(message, str) else json.dumps(message)


def params(rows):
    return [pytest.param(row, id=row["id"]) for row in rows]


# From the client


@pytest.mark.parametrize("row", params(row for row in IN if row.get("first") and "means" in row))
def test_a_first_message_is_read(row):
    hello = Browser().open(frame_of(row))
    means = row["means"]
    resume = means["resume"]
    assert hello.agent == means["agent"]
    assert hello.token == means["token"]
    assert hello.language == means["language"]
    assert hello.mic_rate_hz == (means["microphone"] or {}).get("rate_hz")
    assert hello.push_to_talk == (means["turns"] == "push_to_talk")
    assert (hello.pace is REPORTING) == ("playback" in means["capabilities"])
    assert hello.metadata == means["metadata"]
    assert hello.consented == means.get("consent", False)
    if resume is None:
        assert hello.resume is None
    else:
        played = resume["played"] or {"response_id": None, "played_ms": None}
        assert (hello.resume.call_id, hello.resume.secret) == (resume["call_id"], resume["secret"])
        assert hello.resume.response_id == played["response_id"]
        assert hello.resume.played_ms == played["played_ms"]


@pytest.mark.parametrize("row", params(row for row in IN if row.get("first") and "error" in row))
def test_a_bad_first_message_closes_the_socket(row):
    with pytest.raises(WireError) as refused:
        Browser().open(frame_of(row))
    assert refused.value.close_code == row["error"]


PLAIN = {
    ClientAudio: lambda m: {"type": "audio", "position": m.position, "pcm": m.pcm.hex()},
    ev.TextTyped: lambda m: {"type": "text", "text": m.text},
    ev.Muted: lambda m: {"type": "mute", "muted": m.muted},
    TurnsMode: lambda m: {"type": "turns", "mode": "push_to_talk" if m.push_to_talk else "auto"},
    ev.TalkStarted: lambda _m: {"type": "talk", "pressed": True},
    ev.TalkStopped: lambda _m: {"type": "talk", "pressed": False},
    ev.Played: lambda m: {
        "type": "played",
        "response_id": m.response_id,
        "played_ms": m.played_ms,
        "buffered_ms": m.buffered_ms,
    },
    ev.PlaybackCut: lambda m: {
        "type": "cut",
        "response_id": m.response_id,
        "played_ms": m.played_ms,
    },
    ev.HungUp: lambda _m: {"type": "hang_up"},
}


def plain(inbound):
    """An inbound thing in the words of the rows."""
    return PLAIN[type(inbound)](inbound)


LATER = [row for row in IN if not row.get("first")]


@pytest.mark.parametrize("row", params(row for row in LATER if "means" in row))
def test_a_later_message_is_read(row):
    received = Browser().receive(frame_of(row))
    if row["means"]["type"] == "ping":
        assert received.inbound == ()
        assert [json.loads(reply) for reply in received.replies] == [
            {"type": "pong", "t": row["means"]["t"]}
        ]
    else:
        assert [plain(inbound) for inbound in received.inbound] == [row["means"]]
        assert received.replies == ()


@pytest.mark.parametrize("row", params(row for row in LATER if "error" in row))
def test_a_bad_later_message_is_answered(row):
    with pytest.raises(WireError) as refused:
        Browser().receive(frame_of(row))
    if isinstance(row["error"], int):
        assert refused.value.close_code == row["error"]
    else:
        assert (refused.value.code, refused.value.close_code) == (row["error"], None)


# From the server


def item_of(fields):
    tool = fields.get("tool", {"call_id": "", "name": "", "arguments": ""})
    return Item(
        item_id=fields["id"],
        role=Role(fields["role"]),
        text=fields["text"],
        turn=fields["turn"],
        status=ItemStatus(fields["status"]),
        source=Source(fields["source"]),
        unheard=fields["unheard"],
        started_ms=fields["started_ms"],
        ended_ms=fields["ended_ms"],
        response_id=fields["response_id"],
        tool_call_id=tool["call_id"],
        tool_name=tool["name"],
        arguments=tool["arguments"],
        metadata=fields["metadata"],
    )


def turn_of(means):
    """A turn whose stamps give these stages."""
    if not means["stages"]:
        return Turn(means["turn"], TurnTimings())
    at_ms, stamps = 1_000, []
    for stage in STAGES:
        at_ms += means["stages"][stage]
        stamps.append(at_ms)
    return Turn(means["turn"], TurnTimings(500, 1_000, *stamps))


def ready_of(means):
    return Ready(
        call_id=means["call_id"],
        resume_secret=means["resume_secret"],
        resumed=means["resumed"],
        agent_slug=means["agent"]["slug"],
        agent_name=means["agent"]["name"],
        language=means["language"],
        notice=means["notice"],
        recording=means["recording"],
        stt=means["providers"]["stt"],
        llm=means["providers"]["llm"],
        tts=means["providers"]["tts"],
        mic_position=means["microphone_position"],
        push_to_talk=means["turns"] == "push_to_talk",
        max_call_ms=means["limits"]["max_call_ms"],
        resume_ms=means["limits"]["resume_ms"],
    )


OUTGOING = {
    "audio": lambda m: AudioFrame(m["response_id"], m["start_ms"], bytes.fromhex(m["pcm"])),
    "audio_end": lambda m: AudioEnd(m["response_id"], m["length_ms"]),
    "clear": lambda m: do.ClearAudio(m["response_id"]),
    "phase": lambda m: do.SendPhase(do.Phase(m["phase"])),
    "transcript": lambda m: do.SendTranscript(m["turn"], m["text"], final=m["final"]),
    "response_text": lambda m: do.SendResponseText(m["response_id"], m["text"], m["start_ms"]),
    "item": lambda m: do.SendItem(item_of(m["item"])),
    "tool": lambda m: do.SendTool(
        m["tool_call_id"], m["name"], running=m["running"], failed=m["failed"]
    ),
    "turn": lambda m: do.SendTurn(turn_of(m)),
    "end": lambda m: do.EndCall(EndReason(m["reason"])),
}


def written(means):
    codec = Browser()
    match means["type"]:
        case "ready":
            (frame,) = codec.ready(ready_of(means))
            return frame
        case "error":
            code = ErrorCode(means["code"])
            if not means["fatal"]:
                (frame,) = codec.send(do.SendError(code, means["message"]))
                assert (frame,) == codec.error(code, means["message"], fatal=False)
                return frame
            (frame,) = codec.error(code, means["message"], fatal=True)
            return frame
        case "pong":
            (frame,) = codec.receive(json.dumps({"type": "ping", "t": means["t"]})).replies
            return frame
        case kind:
            (frame,) = codec.send(OUTGOING[kind](means))
            return frame


WRITTEN = [row for row in OUT if "means" in row and not row.get("decode_only")]


@pytest.mark.parametrize("row", params(WRITTEN))
def test_a_message_is_written_as_the_row_says(row):
    frame = written(row["means"])
    if "hex" in row:
        assert frame == bytes.fromhex(row["hex"])
    else:
        assert json.loads(frame) == row["message"]


def test_what_no_client_is_told_makes_no_frame():
    for effect in (do.CommitTurn(), do.HoldAudio(), do.StartTimer("x", 1), do.ForwardAudio(b"")):
        assert Browser().send(effect) == ()


# The page


def table(title):
    """The first cells of the table below this headline."""
    section = PAGE.partition(f"{title}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (.+?) \|", section, re.MULTILINE)
    return [cell for cell in cells if cell not in ("message", "field", "code")]


def words(title):
    """The words in code style below this headline."""
    section = PAGE.partition(f"{title}\n")[2].partition("\n##")[0]
    return re.findall(r"`([a-z_]+)`", section)


def types(title):
    named = [re.search(r'"type": "(\w+)"', cell) for cell in table(title)]
    whole = {found[1] for found in named if found}
    return whole | {cell.strip("`") for cell in table(title) if re.fullmatch(r"`\w+`", cell)}


def test_every_error_code_is_on_the_page():
    assert sorted(words("### Codes of an error")) == sorted(ErrorCode)


@pytest.mark.parametrize("kind", [Role, Source, ItemStatus])
def test_every_kind_of_an_entry_is_on_the_page(kind):
    name = {Role: "role", Source: "source", ItemStatus: "status"}[kind]
    listed = PAGE.partition("### Items\n")[2].partition("\n##")[0].partition(f"`{name}`:")[2]
    listed = re.split(r"\.\s`", listed)[0]
    assert set(re.findall(r"`([a-z_]+)`", listed)) == set(kind)


def test_every_reason_of_an_end_is_on_the_page():
    assert sorted(words("### Reasons of an end")) == sorted(EndReason)


def test_every_close_code_is_on_the_page():
    codes = {int(cell) for cell in table("## Close codes") if cell.isdigit()}
    assert {*CLOSE_CODES.values(), END_CODE, GONE_CODE, TAKEN_OVER_CODE} <= codes


def test_every_message_of_the_page_has_a_row_that_is_understood():
    understood = {row["means"]["type"] for row in LATER if "means" in row} - {"audio"}
    assert types("## From the client") == understood


def test_every_message_of_the_server_has_a_row_that_is_written():
    assert types("## From the server") == {row["means"]["type"] for row in WRITTEN} - {"audio"}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("role", Role),
        ("status", ItemStatus),
        ("source", Source),
    ],
)
def test_every_word_of_an_item_is_on_the_page(kind, values):
    sentence = re.search(rf"`{kind}`: ([^.]+)\.", PAGE)
    assert sorted(re.findall(r"`(\w+)`", sentence[1])) == sorted(values)


def test_every_phase_is_on_the_page_and_in_a_row():
    row = next(line for line in PAGE.splitlines() if '"type": "phase"' in line)
    assert set(re.findall(r"`(\w+)`", row.partition("|")[2].partition("|")[2])) == set(do.Phase)
    in_rows = {row["means"]["phase"] for row in WRITTEN if row["means"]["type"] == "phase"}
    assert in_rows == set(do.Phase)


def test_the_example_of_a_first_message_is_one():
    example = re.search(r"```json\n(\{\"type\": \"start\".+?)```", PAGE, re.DOTALL)
    assert Browser().open(example[1]).agent == "demo"


def test_the_stages_of_a_turn_are_those_of_the_page():
    row = next(line for line in PAGE.splitlines() if '"type": "turn"' in line)
    example = json.loads(re.search(r"`(\{.+\})`", row)[1])
    assert list(example["stages"]) == list(STAGES)
    assert sum(example["stages"].values()) == example["latency_ms"]
