"""The same conversation by every protocol leaves the same record: only what the pages say differs.

A greeting, a question, its answer cut short by another question, a tool, a goodbye: all by voice.
"""

import array
import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed

from calls.conf import PROTOCOLS
from calls.domain.audio import CALLER
from tests.interop.avr_client import AvrCore
from tests.interop.calls import Record, Records, pieces, silence, speech
from tests.interop.micdrop_client import MicdropClient
from tests.interop.node import run_node
from tests.interop.openai_sdk import talking
from tests.interop.twilio_client import TwilioStream
from tests.server.callers import Caller, kept_server
from tests.server.keys import api_key
from tests.server.protocols import unhurt
from tests.server.test_calls_conversation import level
from tests.wire.test_protocols_page import TERMS, table

pytestmark = [pytest.mark.interop, pytest.mark.asyncio, pytest.mark.timeout(400)]

HOURS, FRIDAY, GOODBYE = (f"callers/{name}" for name in ("hours", "friday", "no-goodbye"))
INTO_IT_S = 0.8
"""How far into the answer the caller interrupts it."""
INTERRUPTED_MS = 1_500
"""Who interrupts the agent is alone after so much of it; the question goes on twice as long."""
SOCKETIO = Path(__file__).parent / "socketio" / "client.mjs"

# The callers


class Microphone:
    """Sends what is said, and silence all the rest of the time."""

    def __init__(self, send, rate_hz, frame_ms=20):
        self._send = send
        self._rate_hz = rate_hz
        self._frame_ms = frame_ms
        self._say = deque()

    async def __aenter__(self):
        self._task = asyncio.get_running_loop().create_task(self._speak())
        return self

    async def __aexit__(self, *exc):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def says(self, name):
        frame_bytes = self._rate_hz * self._frame_ms // 1000 * 2
        self._say += pieces(speech(name, self._rate_hz), frame_bytes)
        await comes(lambda: not self._say)

    async def _speak(self):
        quiet = silence(self._frame_ms, self._rate_hz)
        with suppress(ConnectionClosed):
            due_s = time.monotonic()
            while True:
                due_s += self._frame_ms / 1000
                await asyncio.sleep(max(0, due_s - time.monotonic()))
                await self._send(self._say.popleft() if self._say else quiet)


async def comes(condition, timeout_s=40):
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_s, "waited in vain"
        await asyncio.sleep(0.05)


def called(server, protocol):
    """Whether the second question was understood: its answer needs a tool."""
    query = (
        f"SELECT 1 FROM calls_item WHERE conversation_id = ({LATEST})"
        " AND role = 'tool' AND status = 'complete'"
    )
    return bool(Records(server).stored.rows(query, TERMS[protocol].name))


LATEST = (
    "SELECT call_id FROM calls_conversation WHERE protocol = ? ORDER BY started_at DESC LIMIT 1"
)


async def by_browser(server, place):
    async with Caller(server.ws_url, hasty=False) as caller:
        await caller.start()

        def answers():
            return len({number for number, _, _ in caller.frames})

        def over():
            return caller.close_code is not None or caller.of("phase")[-1]["phase"] == "listening"

        async with Microphone(caller.frame, 16_000) as microphone:
            await caller.hears_out(30)
            await microphone.says(HOURS)
            await comes(lambda: answers() == 2)
            await asyncio.sleep(INTO_IT_S)
            await microphone.says(FRIDAY)
            await comes(lambda: answers() > 2)
            await comes(over)
            while not called(server, "browser"):
                await microphone.says(FRIDAY)
                await asyncio.sleep(1)
                await comes(over)
            while caller.close_code is None:
                await microphone.says(GOODBYE)
                await asyncio.sleep(1)
                await comes(over)


async def by_micdrop(server, place):
    async with MicdropClient(f"{server.ws_url}/ws/micdrop/demo/?v=2", "2") as client:
        await client.hears_out()
        await client.speaks(HOURS)
        await client.until(lambda: client.playing)
        await asyncio.sleep(INTO_IT_S)
        await client.speaks(FRIDAY)
        await client.hears_out()
        while not called(server, "micdrop"):
            await client.speaks(FRIDAY)
            await client.hears_out()
        while not client.ended:
            await client.speaks(GOODBYE)
            await client.until(lambda: client.ended or client.listening, 30)
        await client.closed()


async def by_avr(server, place):
    async with AvrCore(f"{server.ws_url}/avr?agent=demo&from=2000") as core:
        await core.hears_out()
        await core.speaks(HOURS)
        await core.hears(int(INTO_IT_S * 1_000))
        await core.speaks(FRIDAY)
        await core.hears_out()
        while not called(server, "avr"):
            await core.speaks(FRIDAY)
            await core.hears_out()
        while core.close_code is None:
            await core.speaks(GOODBYE)
            await core.hears_out()


async def by_twilio(server, place):
    async with TwilioStream(f"{server.ws_url}/ws/twilio/demo/", parameters={"a": "b"}) as stream:
        await stream.hears_out()
        await stream.speaks(HOURS)
        await stream.hears(int(INTO_IT_S * 1_000))
        await stream.speaks(FRIDAY)
        await stream.cleared()
        await stream.hears_out()
        while not called(server, "twilio"):
            await stream.speaks(FRIDAY)
            await stream.hears_out()
        while stream.close_code is None:
            await stream.speaks(GOODBYE)
            await stream.hears_out()


async def by_socketio(server, place):
    files = {}
    for name in (HOURS, FRIDAY, GOODBYE):
        files[name] = place / f"{name.replace('/', '-')}.pcm"
        files[name].write_bytes(speech(name, 24_000))
    steps = [
        {"until": "connect"},
        {"emit": ["start"]},
        {"microphone": True},
        {"until": "response_audio"},
        {"heard": True},
        {"tell": str(files[HOURS])},
        {"wait": int(INTO_IT_S * 1_000)},
        {"tell": str(files[FRIDAY])},
        {"heard": True},
        {"tell": str(files[GOODBYE])},
        {"until": "disconnect"},
    ]
    options = {"transports": ["websocket"], "query": {"agent": "demo", "a": "b"}}
    plan = json.dumps({"options": options, "steps": steps})
    await asyncio.to_thread(run_node, SOCKETIO, server.url, plan, timeout_s=150)


async def by_realtime(server, place):
    """It does not greet by itself; it is asked to."""
    key = await asyncio.to_thread(api_key, server)
    async with talking(server, key, model="demo") as talk:
        detection = {"type": "server_vad", "silence_duration_ms": 600}
        transcribed = {"model": "whisper-1"}
        await talk.configure(
            audio={"input": {"turn_detection": detection, "transcription": transcribed}}
        )
        async with Microphone(talk.append, 24_000, 40) as microphone:
            greeting = await talk.answer()
            await asyncio.sleep(len(talk.sound(greeting["id"])) / 48_000)
            await microphone.says(HOURS)
            await comes(lambda: len(sounding(talk)) == 2)
            await asyncio.sleep(INTO_IT_S)
            await microphone.says(FRIDAY)
            await comes(lambda: len(sounding(talk)) == 3)
            await comes(lambda: len(talk.of("response.done")) >= 3)
            await asyncio.sleep(len(talk.sound(sounding(talk)[-1])) / 48_000 + 0.5)
            while not called(server, "realtime"):
                await microphone.says(FRIDAY)
                await asyncio.sleep(8)
            while not await asyncio.to_thread(over, server):
                await microphone.says(GOODBYE)
                await asyncio.sleep(6)


def over(server):
    """A client of this protocol is not told why; it is told that the socket is closed."""
    query = f"SELECT 1 FROM calls_conversation WHERE call_id = ({LATEST}) AND status = 'ended'"
    return bool(Records(server).stored.rows(query, TERMS["realtime"].name))


def sounding(talk):
    """Responses that made a sound, in order."""
    deltas = talk.of("response.output_audio.delta")
    return list(dict.fromkeys(delta["response_id"] for delta in deltas))


CALLERS = {
    "browser": by_browser,
    "micdrop": by_micdrop,
    "avr": by_avr,
    "socketio": by_socketio,
    "realtime": by_realtime,
    "twilio": by_twilio,
}


WAVES = (("browser", "micdrop"), ("socketio", "avr"), ("realtime", "twilio"))
"""Who calls at once: the offline recogniser is no fast one."""


# The records


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory) -> Iterator:
    with kept_server(installation, tmp_path_factory.mktemp("one_record") / "var") as started:
        yield started
        unhurt(started)


_RECORDS: dict[str, Record] = {}


@pytest_asyncio.fixture
async def records(server, tmp_path) -> dict[str, Record]:
    """By protocol; held once. Who waited in vain leaves the rest to the next try."""
    for wave in WAVES:
        together = [name for name in wave if name not in _RECORDS]
        for _ in range(TRIES):
            together = await held(server, together, tmp_path)
    assert _RECORDS.keys() == set(PROTOCOLS)
    return _RECORDS


TRIES = 4
"""The offline ears of a busy machine may be too late, or its caller: then it calls once more."""


async def held(server, names, place) -> list[str]:
    """Hold these calls at once, and keep their records; those that did not go as they should."""
    found = Records(server)
    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(CALLERS[name](server, place))
    protocols = {terms.name: protocol for protocol, terms in TERMS.items()}
    failed = "SELECT 1 FROM calls_turn WHERE conversation_id = ? AND error != ''"
    again = []
    for call_id in found.new():
        record = found.ended(call_id)
        name = protocols[record.conversation["protocol"]]
        _RECORDS[name] = record
        if found.stored.rows(failed, call_id) or not went_to_its_end(record):
            again.append(name)
    return again


def went_to_its_end(record) -> bool:
    """Whether the caller's goodbye was understood, and the agent's heard out: not talked into."""
    return all(map(like, record.items[-2:], LAST))


@pytest.fixture
def stored(server):
    return Records(server).stored


FIRST = [
    # role   status         words of it
    ("agent", "complete", ""),
    ("user", "complete", "opening hours"),
    ("agent", "interrupted", "nine to five"),
    ("user", "complete", "friday"),
    ("tool", "complete", "opening_hours"),
    ("agent", "complete", "friday"),
]
LAST = [("user", "complete", "bye"), ("agent", "complete", "goodbye")]


def shown(item) -> str:
    return (item["tool_name"] or item["text"] + item["unheard"]).lower()


def like(item, wanted) -> bool:
    role, status, words = wanted
    return (item["role"], item["status"]) == (role, status) and words in shown(item)


def told(record) -> list:
    """The entries of `FIRST`, in order; what was not understood lies between them."""
    found, rest = [], iter(record.items)
    for wanted in FIRST:
        item = next((item for item in rest if like(item, wanted)), None)
        assert item is not None, (
            wanted,
            [(i["role"], i["status"], shown(i)) for i in record.items],
        )
        found.append(item)
    return found


async def test_the_entries_are_the_same(records):
    for name, record in records.items():
        first = told(record)
        assert first[:3] == record.items[:3], name
        last = record.items[-2:]
        assert went_to_its_end(record), (name, [(i["role"], i["status"], shown(i)) for i in last])
        # What was not understood is said again: a question and its answer more.
        between = [item for item in record.items[:-2] if item not in first]
        assert {item["role"] for item in between} <= {"user", "agent"}, name
        assert len(between) <= 4, name
        numbers = [item["item_id"] for item in record.items]
        assert numbers == list(range(1, len(numbers) + 1)), name


async def test_the_entries_came_to_be_in_the_same_way(records):
    for name, record in records.items():
        greeting, hours, answer, friday, tool, last = told(record)
        assert (hours["source"], friday["source"], tool["source"]) == ("voice", "voice", "tool")
        said = {item["source"] for item in (greeting, answer, last)}
        assert said == {"model"}, name
        assert json.loads(tool["arguments"]) == {"day": "Friday"}, name
        assert record.conversation["language"].startswith("en")


async def test_the_answer_was_cut_where_it_was_heard(records):
    whole, cuts = set(), {}
    for name, record in records.items():
        cut = told(record)[2]
        assert cut["text"].strip(), name
        assert cut["unheard"].strip(), name
        whole.add(" ".join((cut["text"] + cut["unheard"]).split()))
        cuts[name] = cut["ended_ms"] - cut["started_ms"]
    assert len(whole) == 1, "all were told the same"
    # They speak up a second into it; the first words of a caller have to be noticed.
    assert all(500 < heard_ms < 4_500 for heard_ms in cuts.values()), cuts


async def test_what_is_known_of_what_was_heard_is_what_the_page_says(records):
    page = table("## What is known of what was heard")
    for name, record in records.items():
        assert page[name][0].startswith(record.conversation["heard"]), name


async def test_the_calls_ended_alike(records):
    for name, record in records.items():
        conversation = record.conversation
        assert (conversation["status"], conversation["end_reason"]) == ("ended", "agent_ended"), (
            name
        )
        assert conversation["agent_slug"] == "demo", name
        assert conversation["interruption_count"] == len(record.interrupted()) >= 1, name
        assert conversation["latency_ms"] > 0, name
        assert abs(conversation["duration_ms"] - record.items[-1]["ended_ms"]) < 4_000, name


METADATA = {
    "browser": set(),
    "micdrop": set(),
    "avr": {"from", "uuid"},
    "socketio": {"a"},
    "realtime": {"model", "api_key"},
    "twilio": {"a", "accountSid", "callSid", "streamSid"},
}


async def test_the_client_is_on_the_record(records):
    assert {name: set(record.metadata) for name, record in records.items()} == METADATA
    assert records["avr"].conversation["caller"] == "2000"
    for name in ("browser", "micdrop", "avr", "twilio"):
        assert "websockets" in records[name].conversation["user_agent"], name


async def test_every_turn_was_timed(records, stored):
    for name, record in records.items():
        turns = stored.rows(
            "SELECT * FROM calls_turn WHERE conversation_id = ? ORDER BY turn", record.call_id
        )
        answered = [turn for turn in turns if turn["latency_ms"] is not None]
        assert len(answered) >= 3, name
        cut = len(record.interrupted())
        assert [turn["interrupted"] for turn in turns].count(1) == cut >= 1, name
        for turn in answered:
            stamps = [turn[f"{stage}_ms"] for stage in STAMPS]
            stamps = [stamp for stamp in stamps if stamp is not None]
            assert stamps == sorted(stamps), (name, stamps)
            assert turn["error"] == "", name
        assert record.conversation["turn_count"] == max(turn["turn"] for turn in turns), name


STAMPS = (
    "speech_started",
    "speech_stopped",
    "committed",
    "transcript",
    "first_audio",
    "first_sent",
)


async def test_the_same_services_worked(records, stored):
    used = {}
    for name, record in records.items():
        rows = stored.rows(
            "SELECT DISTINCT stage, provider, model FROM calls_serviceuse WHERE conversation_id = ?",
            record.call_id,
        )
        used[name] = {tuple(row.values()) for row in rows}
    assert all(services == used["browser"] for services in used.values()), used
    assert {stage for stage, *_ in used["browser"]} == {"stt", "llm", "tts"}


async def test_both_sides_are_heard_where_they_stand(records, stored):
    for name, record in records.items():
        stored.until(lambda call=record.call_id: stored.recording(call)["state"] == "complete")
        caller, agent = stored.sound(record.call_id)
        assert len(caller) == len(agent), name
        long_ms = len(caller) * 1_000 // CALLER.bytes(1_000)
        assert abs(long_ms - record.conversation["duration_ms"]) < 1_500, name
        for item in told(record):
            if item["role"] in ("agent", "user"):
                begun, ended = (CALLER.bytes(item[edge]) for edge in ("started_ms", "ended_ms"))
                own, other = (agent, caller) if item["role"] == "agent" else (caller, agent)
                assert level(own[begun:ended]) > 500, (name, item["item_id"])
                if item["status"] == "complete":
                    assert loud_ms(other[begun:ended]) < INTERRUPTED_MS, (name, item["item_id"])


def loud_ms(pcm: bytes) -> int:
    """How much of it is as loud as speech."""
    samples = array.array("h", pcm)
    size = CALLER.samples(100)
    blocks = [samples[at : at + size] for at in range(0, len(samples), size)]
    return 100 * sum(max(map(abs, block)) > 1_500 for block in blocks)
