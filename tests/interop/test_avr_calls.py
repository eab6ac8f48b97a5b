"""Whole calls by AVR: a core of our own against the real server."""

import asyncio
import base64
import json
import re
import sys
import wave

import pytest
from websockets.exceptions import InvalidStatus

from tests.interop.avr_client import FRAME_BYTES, RATE_HZ, AvrCore
from tests.interop.calls import Records, Seen, agree, speech
from tests.server.test_calls_conversation import level
from tests.servers import ROOT

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]


def url_of(server, path="/avr", query="agent=demo"):
    return f"{server.ws_url}{path}?{query}"


async def says_until(core, line, answer):
    """Until the offline recogniser understands it, which a telephone line makes no easier."""
    for _ in range(4):
        await core.speaks(f"callers/{line}")
        await core.hears_out()
        if core.close_code is not None or answer in core.transcripts("agent")[-1]:
            return
    raise AssertionError((line, core.transcripts("user"), core.transcripts("agent")))


def whole(said):
    """What the page says of `transcript`: once an answer, so as many as there are answers."""
    return [text.strip() for text in said]


async def test_a_call_with_all_that_can_happen(server, records):
    variables = "agent=demo&from=2000&to=5001&channel=PJSIP%2F2000-00000013"
    async with AvrCore(url_of(server, query=variables)) as core:
        await core.hears_out()
        greeting_ms = len(core.played) * 1000 // (RATE_HZ * 2)
        assert greeting_ms > 1_000
        assert level(bytes(core.played)) > 500
        assert {len(pcm) for _, pcm in core.frames} == {FRAME_BYTES}
        assert len(core.transcripts("agent")) == 1

        await core.speaks("callers/hours")
        assert len(core.interruptions()) == 1, "the caller spoke"
        await core.hears(800)
        await core.speaks("callers/friday")
        assert len(core.interruptions()) == 2, "once for each barge-in"
        await core.hears_out()

        await core.presses("42#")
        await core.hears_out()

        await says_until(core, "no-goodbye", "Goodbye.")
        assert await core.closed(1) == 1000
        assert core.closed_with_ms == 0, "the goodbye was heard to its end"

    record = records.only()
    conversation = record.conversation
    assert (conversation["protocol"], conversation["heard"]) == ("avr", "paced")
    assert conversation["caller"] == "2000"
    assert record.metadata == {
        "from": "2000",
        "to": "5001",
        "channel": "PJSIP/2000-00000013",
        "uuid": core.uuid,
    }
    hours, friday, digits, *goodbyes = record.user
    assert "opening hours" in hours.lower()
    assert "friday" in friday.lower()
    assert digits == "42"
    assert "goodbye" in goodbyes[-1].lower()
    assert core.transcripts("user") == [hours, friday, *goodbyes]
    agree(
        Seen(
            greeting=core.transcripts("agent")[0],
            agent=core.transcripts("agent")[1:],
            tools=[("opening_hours", {"day": "Friday"})],
            end="agent_ended",
        ),
        record,
    )
    (cut,) = record.interrupted()
    assert cut["text"]
    assert cut["unheard"]
    greeting = record.items[0]
    assert abs(greeting["ended_ms"] - greeting["started_ms"] - greeting_ms) < 100
    assert core.errors() == []


async def test_a_tool_by_voice(server, records):
    async with AvrCore(url_of(server, "/avr/demo/", "")) as core:
        await core.hears_out()
        await says_until(core, "friday", "We are open on Friday")
        await core.hangs_up()
    record = records.only()
    name, arguments = record.tools[-1]
    assert (name, arguments["day"].lower()) == ("opening_hours", "friday")
    assert record.conversation["end_reason"] == "caller_hung_up"
    assert not record.interrupted()
    assert whole(core.transcripts("agent")) == whole(record.agent)


async def test_after_an_interruption_nothing_of_the_answer_is_sent(server, records):
    async with AvrCore(url_of(server)) as core:
        await core.hears_out()
        await core.speaks("callers/hours")
        await core.hears(600)
        before = len(core.interruptions())
        await core.speaks("callers/friday")
        (cut_s,) = core.interruptions()[before:]
        await core.hears_out()
        answer_s = min(at_s for at_s, _ in core.frames if at_s > cut_s)
        assert answer_s - cut_s > 0.5, "the next sound is the next answer's"
        await core.hangs_up()
    (cut,) = records.only().interrupted()
    heard_ms = cut["ended_ms"] - cut["started_ms"]
    assert heard_ms > 0


@pytest.mark.parametrize("path", ["/", "/avr/", "/avr/demo"])
async def test_every_address_leads_to_the_agent(server, records, path):
    async with AvrCore(url_of(server, path, "anything=goes")) as core:
        await core.hears(300)
        await core.hangs_up()
    record = records.only()
    assert record.conversation["agent_slug"] == "demo"
    assert record.metadata["anything"] == "goes"


async def test_rubbish_gets_one_answer_of_each_kind_and_the_call_goes_on(server, records):
    rubbish = [
        "no json",
        b"\xff\xfe",
        "[]",
        {"type": "reset"},
        {"type": "reset\x1b[2J"},
        {"type": "audio", "audio": "no sound!"},
        {"type": "audio", "audio": "AAAA"},
        {"type": "dtmf_digit", "digit": "99"},
        {"type": "init", "uuid": "again"},
    ]
    async with AvrCore(url_of(server)) as core:
        for message in rubbish * 3:
            await core.tell(message)
        await core.hears_out()
        await core.speaks("callers/hours")
        await core.hears(500)
        await core.hangs_up()
    assert sorted(core.errors()) == [
        "Invalid audio: an odd number of bytes",
        "Invalid audio: base64 of 16-bit PCM expected",
        "Invalid digit",
        "Invalid message format",
        "Unsupported message type: reset",
    ]
    record = records.only()
    assert record.metadata["uuid"] == core.uuid
    assert "opening hours" in record.user[0].lower()


@pytest.mark.parametrize("frame_bytes", [334, 16_000])
async def test_sound_may_come_in_pieces_of_any_size(server, records, frame_bytes):
    async with AvrCore(url_of(server), frame_bytes=frame_bytes) as core:
        await core.hears_out()
        await core.speaks("callers/hours")
        await core.hears_out()
        await core.hangs_up()
    assert "opening hours" in records.only().user[0].lower()
    assert core.errors() == []


async def test_who_never_says_init_is_served_all_the_same(server, records):
    async with AvrCore(url_of(server), uuid=None) as core:
        await core.hears_out()
        await core.hangs_up()
    record = records.only()
    assert "uuid" not in record.metadata
    assert core.transcripts("agent")[:1] == whole(record.agent)[:1]


async def test_who_says_nothing_at_all_is_let_go(server, records):
    core = AvrCore(url_of(server), uuid=None, background=lambda _number: b"")
    async with core:
        assert await core.closed(6) == 4408
    assert core.errors() == ["No init came in time."]
    assert records.new() == []


async def test_an_agent_that_is_not_there_is_told(server, records):
    async with AvrCore(url_of(server, query="agent=nobody")) as core:
        assert await core.closed(5) == 4404
    assert core.errors() == ["There is no such agent."]
    assert records.new() == []


async def test_a_flood_is_let_go_and_the_server_lives(server, records):
    sound = {"type": "audio", "audio": base64.b64encode(bytes(40_000)).decode()}
    async with AvrCore(url_of(server)) as core:
        await core.hears(200)
        for _ in range(40):
            await core.tell(json.dumps(sound))
        assert await core.closed(10) == 4429
    assert records.only().conversation["status"] == "ended"
    async with AvrCore(url_of(server)) as core:
        await core.hears(200)


async def test_the_example_of_the_page_runs(server, records, tmp_path):
    page = (ROOT / "docs/protocols/avr.md").read_text()
    example = re.search(r"```python\n(.+?)```", page, re.DOTALL)[1]
    question = tmp_path / "question.wav"
    with wave.open(str(question), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE_HZ)
        wav.writeframes(speech("callers/hours", RATE_HZ))
    example = example.replace("ws://localhost:8000", server.ws_url)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        example.replace("question.wav", str(question)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert "opening hours" in said.decode()
    assert "nine to five" in said.decode()
    assert "Traceback" not in said.decode()
    assert records.only().metadata["uuid"] == "test-session"


async def test_the_secret_opens_the_door(start_server):
    server = start_server(AVR_SECRET="open sesame")
    for query in ("", "secret=", "secret=wrong"):
        with pytest.raises(InvalidStatus) as refused:
            async with AvrCore(url_of(server, query=query)):
                pass
        assert refused.value.response.status_code == 403
    records = Records(server)
    async with AvrCore(url_of(server, query="secret=open%20sesame&from=1")) as core:
        await core.hears(200)
        await asyncio.sleep(0)
        await core.hangs_up()
    assert records.only().metadata == {"from": "1", "uuid": core.uuid}
    assert "sesame" not in server.log()
