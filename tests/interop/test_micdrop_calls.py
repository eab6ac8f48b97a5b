"""Whole calls of micdrop's clients, of all generations, against the real server."""

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest

from tests.interop.calls import Records, agree
from tests.interop.micdrop_client import MicdropClient as Client
from tests.interop.micdrop_client import comes_back

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(180)]


def url_of(server, query="", path="/ws/micdrop/demo/"):
    return f"{server.ws_url}{path}{'?' if query else ''}{query}"


KINDS = [
    pytest.param("1.0", "v=1.0", {}, id="1.0"),
    pytest.param("1", "v=1", {"container": "mp4"}, id="1-files"),
    pytest.param("1", "v=1.9.0&audio=stream", {"container": "ogg"}, id="1-stream"),
    pytest.param("2", "v=2", {}, id="2"),
]


@pytest.mark.parametrize(("generation", "query", "options"), KINDS)
async def test_a_call_with_all_that_can_happen(server, records, generation, query, options):
    async with Client(url_of(server, query), generation, **options) as client:
        await client.hears_out()
        assert len(client.of("assistant")) == 1
        assert client.heard_ms > 1_000

        await client.speaks("callers/hours")
        await client.until(lambda: client.playing)
        await asyncio.sleep(0.8)
        assert client.playing
        await client.speaks("callers/friday")
        await client.hears_out()
        assert len(client.of("user")) == 2
        assert "friday" in client.of("user")[1].lower()

        await client.speaks("callers/no-goodbye")
        await client.until(lambda: client.ended, 30)
        await client.closed()
        seen = client.seen()
        assert client.faults == []
        order = client.names()

    record = records.only()
    assert record.conversation["protocol"] == "micdrop"
    assert record.conversation["heard"] == "assumed"
    assert record.conversation["end_reason"] == "agent_ended"
    agree(seen, record)
    assert record.tools == [("opening_hours", {"day": "Friday"})]
    (cut,) = record.interrupted()
    assert cut["unheard"]
    if generation == "2":
        (told,) = client.tool_calls
        assert (told["name"], told["parameters"]) == ("opening_hours", {"day": "Friday"})
    else:
        words = "assistantMessage" if generation == "1.0" else "Message"
        assert order.index(words) < order.index("sound")
    assert ("EnableSpeakerStreaming" in order) is ("stream" in query)


async def test_a_booking_in_files(server, records):
    async with Client(url_of(server, "v=1"), "1", container="webm") as client:
        await client.hears_out()
        for line in ("appointment", "monday", "name", "yes"):
            await client.speaks(f"callers/{line}")
            await client.hears_out()
        assert client.faults == []
        seen = client.seen()
    record = records.only()
    agree(seen, record)
    ((name, arguments),) = record.tools
    assert (name, arguments["day"], arguments["name"]) == (
        "book_appointment",
        "Monday",
        "John Smith",
    )
    assert record.conversation["end_reason"] == "caller_hung_up"


async def test_a_booking_is_told_item_by_item(server, records):
    async with Client(url_of(server, "v=2&partials=1"), "2") as client:
        await client.hears_out()
        for line in ("appointment", "monday", "name", "yes"):
            await client.speaks(f"callers/{line}")
            await client.hears_out()
        assert client.faults == []
        roles = [entry["role"] for entry in client.conversation]
        at = roles.index("tool_call")
        assert roles[at + 1] == "tool_result"
        (called,) = client.tool_calls
        assert called["name"] == "book_appointment"
        assert called["output"]["booked"] is True
        assert json.loads(client.conversation[at + 1]["output"]) == called["output"]
        assert client.partials
        seen = client.seen()
    agree(seen, records.only())


@pytest.mark.parametrize(
    ("generation", "options"),
    [("1.0", {}), ("1", {"container": "mp4"}), ("2", {})],
)
async def test_a_client_that_does_not_say_its_version(server, records, generation, options):
    """The greeting may not be for it; from its first turn on it is served."""
    async with Client(url_of(server), generation, **options) as client:
        await asyncio.sleep(0.5)
        await client.speaks("callers/hours")
        await client.hears_out()
        assert client.of("user"), client.names()
        assert client.of("assistant")
        before_ms = client.heard_ms
        await client.speaks("callers/goodbye")
        await client.until(lambda: client.ended, 30)
        assert client.heard_ms > before_ms
        assert [fault for fault in client.faults if "decoded" not in fault] == []
    assert records.only().conversation["end_reason"] == "agent_ended"


async def test_the_agent_says_what_its_clients_are(start_server):
    server = start_server()
    with closing(sqlite3.connect(server.var_dir / "db.sqlite3")) as database, database:
        database.execute("UPDATE calls_agent SET micdrop_version = '1' WHERE slug = 'demo'")
    async with Client(url_of(server), "1") as client:
        await client.until(lambda: client.heard_ms > 0)
        assert client.faults == []
        assert client.names()[:2] == ["Message", "sound"]


async def test_a_client_of_2_0_sends_files_and_gets_pcm(server, records):
    async with Client(url_of(server, "v=2.0.3"), "2", recorder=True) as client:
        await client.hears_out()
        await client.speaks("callers/hours")
        await client.hears_out()
        assert "hours" in client.of("user")[0].lower()
        assert client.faults == []
    assert records.only().conversation["end_reason"] == "caller_hung_up"


@pytest.mark.parametrize("generation", ["1", "2"])
async def test_nobody_is_left_waiting(server, records, generation):
    async with Client(url_of(server, f"v={generation}"), generation) as client:
        await client.hears_out()
        await client.stops()
        await client.until(lambda: not client.processing, 3)
        await client.starts()
        await client.stops()
        await client.until(lambda: not client.processing, 3)
        assert client.names().count("SkipAnswer") == 2
        await client.starts()
        await client.says(b"\x1a\x45\xdf\xa3" + bytes(5_000))
        await client.stops()
        await client.until(lambda: not client.processing, 10)
        await client.hears_out()
    assert records.only().user == []


@pytest.mark.parametrize("generation", ["1", "2"])
async def test_who_pauses_is_not_answered(server, records, generation):
    async with Client(url_of(server, f"v={generation}"), generation) as client:
        await client.hears_out()
        await client.speaks("callers/hours")
        await client.until(lambda: client.playing)
        await client.pauses()
        await asyncio.sleep(0.5)  # what is on its way arrives
        at = len(client.frames)
        await asyncio.sleep(1)
        assert "sound" not in client.names()[at:]
        await client.resumes()
        await client.speaks("callers/goodbye")
        await client.until(lambda: client.ended, 30)
    record = records.only()
    assert len(record.user) == 2
    assert record.interrupted()


async def test_params_are_the_metadata_of_the_call(server, records):
    params = {"authorization": "1234", "page": "/pricing"}
    async with Client(url_of(server, "v=2&params=1"), "2", params=params) as client:
        await client.until(lambda: client.of("assistant"))
    assert records.only().metadata == {"page": "/pricing"}


async def test_params_that_nobody_asked_for_change_nothing(server, records):
    async with Client(url_of(server, "v=1"), "1", params={"authorization": "1234"}) as client:
        await client.until(lambda: client.of("assistant"))
        assert client.of("assistant")
    assert records.only().metadata == {}


@pytest.mark.parametrize(
    ("query", "first", "code"),
    [("params=1", None, 4400), ("params=1", "StartSpeaking", 4400), ("params=1", b"\1\2", 4400)],
)
async def test_a_call_without_its_params_does_not_begin(server, records, query, first, code):
    async with Client(url_of(server, query), "2") as client:
        if first is not None:
            await client.says(first)
        assert await client.closed(6) == code
        assert not comes_back(code)
    assert records.new() == []


async def test_an_agent_that_is_not_there(server, records):
    async with Client(url_of(server, path="/ws/micdrop/nobody/"), "2") as client:
        assert await client.closed(5) == 4404
    assert records.new() == []


@pytest.mark.parametrize("path", ["/call", "/call/", "/ws/micdrop/"])
async def test_the_default_agent_answers(server, records, path):
    async with Client(url_of(server, "v=2", path), "2") as client:
        await client.until(lambda: client.of("assistant"))
    assert records.only().conversation["agent_slug"] == "demo"


async def test_hostile_frames_end_at_most_their_own_call(server, records):
    async with Client(url_of(server, "v=2"), "2") as client, Client(url_of(server), "1") as bad:
        await bad.starts()
        for frame in ("", "{}", "StartSpeaking " * 9, "\0", b"", b"\1", b"OggS" + bytes(60_000)):
            await bad.says(frame)
        await bad.stops()
        await bad.says(bytes(600_000))
        assert await bad.closed(10) == 4400
        await client.until(lambda: client.of("assistant"))
        assert client.of("assistant")
        assert client.faults == []


async def test_two_calls_at_once_do_not_mix(server):
    records = Records(server)
    async with Client(url_of(server, "v=1"), "1") as one, Client(url_of(server, "v=2"), "2") as two:
        await asyncio.gather(one.hears_out(), two.hears_out())
        await asyncio.gather(one.speaks("callers/hours"), two.speaks("callers/appointment"))
        await asyncio.gather(one.hears_out(), two.hears_out())
        assert "hours" in one.of("user")[0].lower()
        assert "appointment" in two.of("user")[0].lower()
    records.stored.until(lambda: len(records.new()) == 2, 10)
