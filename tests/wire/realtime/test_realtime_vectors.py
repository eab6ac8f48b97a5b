"""`docs/protocols/openai-realtime.md` as rows, both ways and in both dialects; and the page itself."""

import json
import re
from pathlib import Path

import pytest

from calls.wire.realtime import SUBPROTOCOL
from calls.wire.realtime.buffer import LEAST_MS, MOST_MS
from calls.wire.realtime.codec import MESSAGE_BYTES, TERMS
from calls.wire.realtime.handling import HANDLERS
from calls.wire.realtime.items import MOST_ITEMS
from calls.wire.realtime.leading import SILENCE_MS
from tests.wire.realtime.driving import BETA, GA, Wire, plain, sound, valid
from tests.wire.realtime.test_realtime_drift import REFUSED, said_in

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/protocols/openai-realtime.md").read_text()
ROWS = {
    dialect: json.loads((ROOT / f"tests/vectors/realtime-{dialect}.json").read_text())
    for dialect in (GA, BETA)
}


def rows(direction):
    return [
        pytest.param(dialect, row, id=f"{dialect}: {row['id']}")
        for dialect in (GA, BETA)
        for row in ROWS[dialect][direction]
    ]


def prepared(dialect, row):
    """A socket after everything that came before: client events, and messages to the client."""
    wire = Wire(dialect, ready=not row.get("opens"))
    if row.get("opens"):
        wire.codec.greet()
    for step in row.get("before", []):
        take(wire, step)
    wire.said.clear()
    return wire


def take(wire, step):
    if isinstance(step, dict):
        return wire.frame(json.dumps(step))
    name, fields = step
    if name == "silence":
        return wire.tell("input_audio_buffer.append", audio=sound(fields))
    return [], wire.do(name, **fields)


@pytest.mark.parametrize(("dialect", "row"), rows("client_to_server"))
def test_what_a_client_says(dialect, row):
    wire = prepared(dialect, row)
    inbound, events = take(wire, row["message"])
    assert [plain(message) for message in inbound] == row["means"]
    assert events == row["answers"]
    for event in events:
        valid(dialect, event)


@pytest.mark.parametrize(("dialect", "row"), rows("server_to_client"))
def test_what_the_server_says(dialect, row):
    wire = prepared(dialect, row)
    for step in row["happens"]:
        take(wire, step)
    assert wire.said == row["events"]
    for event in wire.said:
        valid(dialect, event)


@pytest.mark.parametrize("dialect", [GA, BETA], ids=str)
def test_every_message_has_a_row(dialect):
    sent = {row["message"]["type"] for row in ROWS[dialect]["client_to_server"]}
    assert sent == set(HANDLERS) | REFUSED[dialect]
    said = {
        event["type"]
        for direction, key in (("client_to_server", "answers"), ("server_to_client", "events"))
        for row in ROWS[dialect][direction]
        for event in row[key]
    }
    # Both begin the same way; the rows say so once.
    assert said | {"session.created", "conversation.created"} >= said_in(dialect)
    assert said <= said_in(dialect)


# The page


def table(heading):
    """The rows of the first table under that heading, as sets of the names in backticks."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [
        [set(re.findall(r"`([a-z_.]+)`", cell)) or cell.strip() for cell in line.split("|")[1:]]
        for line in lines
    ]


def test_the_page_names_what_a_client_may_say():
    named = set.union(*(row[0] for row in table("From the client")))
    assert named == set(HANDLERS) | REFUSED[GA] | REFUSED[BETA]


def test_the_page_names_what_the_server_says():
    named = {GA: set(), BETA: set()}
    for row in table("From the server"):
        named[GA] |= row[0] or set()
        named[BETA] |= row[0] if row[1] == "same" else row[1] or set()
    assert named == {dialect: said_in(dialect) for dialect in (GA, BETA)}


@pytest.mark.parametrize(
    "said",
    [
        f"{MESSAGE_BYTES:,} bytes",
        f"{MOST_MS // 1000} seconds",
        f"{LEAST_MS} ms",
        f"{MOST_ITEMS:,} items",
        f"{TERMS.start_ms // 1000} seconds",
        f"`{SUBPROTOCOL}`",
        *(f"`{eagerness}` {silence_ms:,}" for eagerness, silence_ms in SILENCE_MS.items()),
    ],
)
def test_the_page_has_the_figures(said):
    assert said in PAGE
