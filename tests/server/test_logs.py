"""Logs of a real server: one entry a line, with its call, and never what was said or kept secret."""

import asyncio
import json
import logging
import re
import sqlite3
from contextlib import closing, suppress

import pytest
from structlog.contextvars import bound_contextvars
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.callers import Caller, kept_server, pcm_of
from tests.server.keys import api_key
from tests.server.protocols import PROTOCOLS, Line
from voiceapp.logs import JsonFormatter, LineFormatter

SAID = "Quetzalcoatl"
ADDRESS = "127.0.0.77"
TOKEN = "kanarienvogel-token"
SECRETS = {"AVR_SECRET": "kanarienvogel-avr", "METRICS_TOKEN": "kanarienvogel-metrics"}
FORGED = "\r\n2026-01-01 00:00:00,000 ERROR   calls: forged\x1b[31m"
ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) +[\w.]+: ")


class FromElsewhere(Caller):
    """A caller whose address is seen nowhere else."""

    async def _open(self):
        options = {"compression": None, "max_queue": None, "local_addr": (ADDRESS, 0)}
        self._socket = await connect(self.url, **options)


@pytest.fixture(scope="module", params=["line", "json"])
def server(request, installation, tmp_path_factory):
    place = tmp_path_factory.mktemp(f"logs-{request.param}") / "var"
    said = {"LOG_FORMAT": request.param, "LOG_LEVEL": "DEBUG"}
    with kept_server(installation, place, **said, **SECRETS) as started:
        started.format = request.param
        yield started


def entries(server, event=None):
    """All entries, each a dictionary; every line has to be one."""
    lines = [line for line in server.log().split("\n") if line]
    told = [line for line in lines if not line.startswith("Serving on ")]
    if server.format == "json":
        found = [json.loads(line) for line in told]
        assert all({"time", "level", "logger", "event"} <= set(entry) for entry in found)
    else:
        own = [line for line in told if not line.startswith("    | ")]
        assert [line for line in own if not ENTRY.match(line)] == []
        found = [{"event": line.split(": ", 1)[1].split(" ")[0]} | fields(line) for line in own]
    return [entry for entry in found if event in (None, entry["event"])]


def fields(line):
    return {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|\S+)', line)}


def printable(text):
    return all(char.isprintable() or char == "\n" for char in text)


def away(server, gone):
    """Take a table away from the record, or give it back."""
    names = ("calls_item", "calls_item_away")
    old, new = names if gone else reversed(names)
    with closing(sqlite3.connect(server.var_dir / "db.sqlite3", timeout=20)) as database:
        database.execute("PRAGMA legacy_alter_table = ON")
        database.execute(f"ALTER TABLE {old} RENAME TO {new}")
        database.commit()


@pytest.mark.asyncio
@pytest.mark.timeout(90)
async def test_nothing_that_was_said_or_is_secret_is_in_the_log(server):
    """In calls by text and by speech, with keys and tokens, and while the database is away."""
    key = api_key(server)
    async with FromElsewhere(server.ws_url) as caller:
        ready = await caller.start(caller=f"{SAID} Smith", metadata={"note": SAID})
        await caller.hears_out()
        await caller.asks(f"{SAID}, what are your opening hours?")
        away(server, gone=True)
        await caller.types(f"{SAID} is away.")
        await caller.until(lambda: any("away" in i["text"] for i in caller.items().values()), 20)
        away(server, gone=False)
        await caller.speaks(pcm_of("she-sells"))
        await caller.is_silent(1_200)
        await caller.until(
            lambda: any("sells" in i["text"].lower() for i in caller.items().values())
        )
        await caller.says(json.dumps({"type": SAID}))
        await caller.says(f"{SAID} no JSON")
        await caller.hangs_up()
    await refused_with_a_token(server)
    await has_calls_with_secrets(server, key)
    log = server.log()
    for canary in (SAID, "sells", "opening hours", "nine to five", ADDRESS, TOKEN, key):
        assert canary.lower() not in log.lower(), canary
    assert not [secret for secret in SECRETS.values() if secret in log]
    assert ready["resume_secret"] not in log
    about_it = [e for e in entries(server) if e.get("call_id") == ready["call_id"]]
    (ended,) = [e for e in about_it if e["event"] == "call_ended"]
    assert {name: str(ended[name]) for name in ("site", "protocol", "agent", "reason")} == {
        "site": "own",
        "protocol": "browser",
        "agent": "demo",
        "reason": "caller_hung_up",
    }
    assert (int(ended["code"]), float(ended["seconds"]) > 3) == (1000, True)
    assert about_it[0]["event"] == "call_started"
    assert len([e for e in about_it if e["event"] == "turn"]) == int(ended["turns"]) >= 3


async def refused_with_a_token(server):
    async with FromElsewhere(server.ws_url) as caller:
        with suppress(AssertionError):
            await caller.start(token=TOKEN)
        with suppress(ConnectionClosed):
            await caller.hangs_up()


async def has_calls_with_secrets(server, key):
    async with Line(server, PROTOCOLS["realtime"], key) as line:
        await line.begin()
    address = f"{server.ws_url}/avr?agent=demo&secret={SECRETS['AVR_SECRET']}"
    async with connect(address, local_addr=(ADDRESS, 0)) as socket:
        await socket.send(PROTOCOLS["avr"].opens[0])
        await socket.recv()
    with pytest.raises(InvalidStatus):
        async with connect(f"{server.ws_url}/avr?secret={TOKEN}", local_addr=(ADDRESS, 0)):
            pass


async def exchange(server, head):
    """Send bytes as they are, and hear what comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    with suppress(TimeoutError, ConnectionError):
        await asyncio.wait_for(reader.readline(), 5)
    writer.close()


HANDSHAKE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.asyncio
async def test_nothing_that_a_client_chooses_makes_an_entry(server):
    paths = (
        b"/%0d%0a2026-01-01%20ERROR%20forged%1b[31m", b"/call/%0a2026-01-01%20forged/",
        b"/ws/call/%0d%0a2026-01-01%20forged/", b"/admin/%e2%80%a82026%20forged", b"/x\x1b[31m",
    )  # fmt: skip
    host = f"Host: 127.0.0.1:{server.port}\r\n".encode()
    for path in paths:
        await exchange(server, b"GET " + path + b" HTTP/1.1\r\n" + host + b"\r\n")
        await exchange(server, b"GET " + path + b" HTTP/1.1\r\n" + host + HANDSHAKE + b"\r\n")
    for header in (b"Origin: http://forged\x1b[31m", b"User-Agent: forged\x1b[31m\x85forged"):
        head = b"GET /ws/call/demo/ HTTP/1.1\r\n" + host + HANDSHAKE + header + b"\r\n\r\n"
        await exchange(server, head)
    for told in ({"agent": FORGED}, {"caller": FORGED, "language": FORGED}, {"token": FORGED}):
        async with Caller(server.ws_url) as caller:
            with suppress(AssertionError):
                await caller.start(**told)
    log = server.log()
    assert printable(log), [line for line in log.split("\n") if not printable(line)]
    assert not [e for e in entries(server) if str(e["event"]).startswith("forged")]
    assert not re.search(r"^2026-01-01", log, re.MULTILINE)


# The formats alone


def record(message="", level=logging.INFO, exc_info=None, **extra):
    made = logging.LogRecord("calls.test", level, "file", 1, message, (), exc_info)
    made.__dict__.update(extra)
    return made


def failure():
    def fail():
        try:
            int(f"{SAID}{FORGED}")
        except ValueError as error:
            raise ExceptionGroup(SAID, [error, KeyError(SAID)]) from error

    try:
        fail()
    except ExceptionGroup as group:
        return type(group), group, group.__traceback__


@pytest.mark.parametrize("formatter", [JsonFormatter(), LineFormatter()], ids=["json", "line"])
def test_control_characters_are_escaped_wherever_they_are(formatter):
    line = formatter.format(record(f"a{FORGED}\x85\u2028\x7f\x00b", code=FORGED, x="\n"))
    assert line.isprintable()


@pytest.mark.parametrize("formatter", [JsonFormatter(), LineFormatter()], ids=["json", "line"])
def test_what_failed_in_a_call_is_told_without_its_words(formatter):
    with bound_contextvars(call_id="c1"):
        told = formatter.format(record("it failed", logging.ERROR, failure()))
    assert SAID not in told
    assert "forged" not in told
    for kind in ("ValueError", "KeyError", "ExceptionGroup", "Traceback", "c1"):
        assert kind in told, kind


@pytest.mark.parametrize("formatter", [JsonFormatter(), LineFormatter()], ids=["json", "line"])
def test_what_failed_elsewhere_is_told_with_its_words(formatter):
    told = formatter.format(record("it failed", logging.ERROR, failure()))
    assert SAID in told
    lines = told.split("\n")[1:]
    assert all(line.startswith("    | ") for line in lines)
    assert printable(told)


def test_an_entry_for_programs_is_one_object_in_order():
    with bound_contextvars(call_id="c1"):
        entry = json.loads(JsonFormatter().format(record("call_started", site="own", bad={1, 2})))
    assert list(entry)[:5] == ["time", "level", "logger", "event", "call_id"]
    assert (entry["level"], entry["site"], entry["bad"]) == ("info", "own", "<set>")


def test_a_text_does_not_pass_for_another_field():
    line = LineFormatter().format(record("refused", code='x call_id=c9 "'))
    assert line.endswith(r'refused code="x call_id=c9 \""')
