"""micdrop's rows in both directions, and the page that says the same."""

import json
import re

import pytest

from calls.domain import effects as do
from calls.domain.errors import ErrorCode
from calls.ports.client import Playback
from calls.wire.base import Knock, WireError
from calls.wire.micdrop.codec import Micdrop
from calls.wire.micdrop.versions import Version
from calls.wire.micdrop.words import CAMEL, PASCAL, WORDS
from tests.wire.micdrop_rows import (
    ROOT,
    ROWS,
    codec_for,
    done,
    frame_of,
    message_of,
    plain,
    shown,
)

IN, OUT = ROWS["client_to_server"], ROWS["server_to_client"]


def params(rows):
    return [pytest.param(row, id=row["id"]) for row in rows]


def prepared(row):
    codec = codec_for(row)
    for step in row.get("before", ()):
        done(codec, step)
    return codec


@pytest.mark.parametrize("row", params(IN))
def test_a_frame_is_read(row):
    received = prepared(row).receive(frame_of(row["frame"]))
    assert plain(received) == row["means"]
    assert list(received.replies) == row.get("replies", [])


@pytest.mark.parametrize("row", params(OUT))
def test_a_message_is_written(row):
    assert shown(prepared(row).send(message_of(row["message"]))) == row["frames"]


@pytest.mark.parametrize("row", params(ROWS["versions"]))
def test_versions_are_told_apart(row):
    codec = codec_for({key: row[key] for key in ("query", "assume") if key in row})
    for step in row["steps"]:
        done(codec, step)
    assert codec.version == row["version"]


# The beginning


@pytest.mark.parametrize("row", params(ROWS["params"]))
def test_params_begin_a_call_where_they_are_asked_for(row):
    codec = Micdrop(Knock(query={"params": "1"}))
    assert codec.greet() is None
    if "error" in row:
        with pytest.raises(WireError) as refused:
            codec.open(frame_of(row["frame"]))
        assert (refused.value.close_code, refused.value.message) == (row["error"], "Invalid params")
        assert codec.close_code(refused.value.code) == row["error"]
        return
    hello = codec.open(frame_of(row["frame"]))
    assert (hello.token, hello.metadata) == (row["token"], row["metadata"])
    assert hello.push_to_talk


def test_params_that_do_not_come_are_missed():
    codec = Micdrop(Knock(query={"params": "1"}))
    assert codec.terms.start_ms == 3_000
    with pytest.raises(WireError) as refused:
        codec.late()
    assert (refused.value.close_code, refused.value.message) == (4400, "Missing params")
    assert codec.close_code(refused.value.code) == 4400


def test_an_agent_may_want_params_of_everybody():
    assert Micdrop(Knock(), params_first=True).greet() is None


def test_otherwise_the_call_begins_at_once():
    hello = Micdrop(Knock()).greet()
    assert (hello.push_to_talk, hello.mic_rate_hz, hello.metadata) == (True, 16_000, {})


@pytest.mark.parametrize("version", ["1.0", "1.2", "1", "2"])
def test_sound_is_paced_as_the_client_plays_it(version):
    pace = Micdrop(Knock(query={"v": version})).greet().pace
    assert (pace.playback, pace.lead_ms) == (Playback.ASSUMED, None)
    assert pace.from_end is (version != "2")


def test_the_pace_follows_what_is_known_of_the_client():
    codec = Micdrop(Knock())
    assert not codec.pace.from_end
    codec.assume("1")
    assert codec.pace.from_end
    assert codec.sends_files
    codec.assume("2")
    assert not codec.sends_files


@pytest.mark.parametrize(
    ("code", "close_code"),
    [
        (ErrorCode.BAD_MESSAGE, 4400),
        (ErrorCode.UNAUTHORIZED, 4401),
        (ErrorCode.NO_SUCH_AGENT, 4404),
        (ErrorCode.START_TIMEOUT, 4400),
        (ErrorCode.TOO_LARGE, 4400),
        (ErrorCode.TOO_FAST, 4400),
        (ErrorCode.INTERNAL, 4400),
        (ErrorCode.ENDED, 1000),
        (ErrorCode.TAKEN_OVER, 1000),
        (ErrorCode.BUSY, 4503),
        (ErrorCode.DRAINING, 4503),
    ],
)
def test_only_a_busy_server_makes_clients_come_back(code, close_code):
    assert Micdrop(Knock()).close_code(code) == close_code


def test_there_is_no_message_for_errors():
    codec = Micdrop(Knock())
    assert codec.error(ErrorCode.INTERNAL, "It broke.", fatal=True) == ()
    assert codec.send(do.SendError(ErrorCode.LLM_FAILED, "It broke.")) == ()


def test_what_no_client_is_told_makes_no_frame():
    for effect in (do.CommitTurn(), do.HoldAudio(), do.StartTimer("x", 1), do.ForwardAudio(b"")):
        assert Micdrop(Knock()).send(effect) == ()


# The page

PAGE = (ROOT / "docs/protocols/micdrop.md").read_text()


def table(title):
    """The first cells of the table below this headline."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (.+?) \|", section, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([A-Za-z]+)`", cell)}


def names_written():
    """The names that the codec can write, found in what it writes."""
    return {
        name
        for words in WORDS.values()
        for field in words.__slots__
        if (name := getattr(words, field))
    }


def test_every_command_of_a_client_is_on_the_page_and_in_a_row():
    assert table("From the client") == {*PASCAL, *CAMEL}
    rows = {row["frame"] for row in IN if isinstance(row["frame"], str) and row["means"]}
    assert rows == {*PASCAL, *CAMEL}


def test_every_command_of_the_server_is_on_the_page_and_in_a_row():
    assert table("From the server") == names_written()
    in_rows = {
        frame.partition(" ")[0]
        for row in (*OUT, *IN)
        for frame in row.get("frames", row.get("replies", []))
        if isinstance(frame, str) and frame != "an MP3"
    }
    assert in_rows == names_written()


def test_every_close_code_is_on_the_page():
    section = PAGE.partition("## Errors and close codes\n")[2].partition("\n## ")[0]
    codes = {int(code) for code in re.findall(r"^\| (\d{4}) \|", section, re.MULTILINE)}
    assert codes == {Micdrop(Knock()).close_code(code) for code in ErrorCode} | {1000}


def test_every_generation_is_on_the_page():
    section = PAGE.partition("## Versions\n")[2].partition("\n## ")[0]
    assert {*re.findall(r"^\| `([\d.]+)` \|", section, re.MULTILINE)} == {*map(str, Version)}


def test_the_examples_of_the_page_are_rows():
    examples = re.findall(r"`((?:Message|message|ToolCall|Classification) \{.*?\})`", PAGE)
    assert examples
    for example in examples:
        json.loads(example.partition(" ")[2])
        assert any(example in row["frames"] for row in OUT), example
