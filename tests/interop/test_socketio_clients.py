"""`socket.io-client`, as npm has it, in whole calls with the real server."""

import array
import base64
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from calls.wire.socketio import EVENTS_OUT
from tests.interop.calls import Records, Seen, agree, speech
from tests.interop.node import Finished, run_node
from tests.server.test_calls_conversation import level
from tests.servers import ROOT

pytestmark = [pytest.mark.interop, pytest.mark.timeout(150)]

SCRIPT = Path(__file__).parent / "socketio" / "client.mjs"
RATE_HZ = 24_000
CHUNK_SAMPLES = 2_048

TRANSPORTS = [
    pytest.param(["polling"], id="polling"),
    pytest.param(["websocket"], id="websocket"),
    pytest.param(["polling", "websocket"], id="upgrade"),
    pytest.param(["websocket", "polling"], id="as the original's page"),
]
BEGIN = [{"until": "connect"}, {"emit": ["start"]}, {"microphone": True}]


def run(server, steps, *, transports=("websocket", "polling"), **options):
    plan = {"options": {"transports": list(transports)} | options, "steps": steps}
    return run_node(SCRIPT, server.url, json.dumps(plan), timeout_s=120)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A step that says an utterance of the fixtures, until it is understood and answered."""
    folder = tmp_path_factory.mktemp("said")

    def step(name):
        file = folder / f"{name}.pcm"
        file.write_bytes(speech(f"callers/{name}", RATE_HZ))
        return {"tell": str(file)}

    return step


def payloads(done: Finished, event):
    return [line["payload"] for line in done.of("event") if line["event"] == event]


def lives(done: Finished, name):
    return [line for line in done.of("life") if line["name"] == name]


def decoded(deltas):
    return b"".join(base64.b64decode(delta) for delta in deltas)


def responses(done: Finished):
    """The deltas of each response that made a sound, and what was said to be all of them."""
    deltas, whole = [], []
    for line in done.of("event"):
        if line["event"] == "response_audio_delta":
            deltas.append(line["payload"])
        elif line["event"] == "response_audio":
            whole.append((deltas, line["payload"]))
            deltas = []
    last = [line["event"] for line in done.of("event")][-len(deltas) - 8 :]
    assert not deltas, f"each response is told to its end; {len(deltas)} deltas behind {last[:8]}"
    return whole


@pytest.mark.parametrize("transports", TRANSPORTS)
def test_a_whole_call(server, records, said, transports):
    done = run(
        server,
        [
            *BEGIN,
            {"until": "response_audio"},
            {"wait": 1_000},
            said("hours"),
            {"wait": 800},
            said("friday"),
            {"heard": True},
            said("no-goodbye"),
            {"until": "disconnect"},
        ],
        transports=transports,
        query={"agent": "demo", "campaign": "spring"},
    )
    assert {line["event"] for line in done.of("event")} <= set(EVENTS_OUT)
    assert {line["extra"] for line in done.of("event")} == {0}
    assert payloads(done, "openai_error") == []
    assert [line["detail"] for line in lives(done, "disconnect")] == ["io server disconnect"]
    assert len(lives(done, "upgrade")) == (transports == ["polling", "websocket"])

    greeting, *answers = payloads(done, "response_transcript_final")
    assert any("nine to five" in answer for answer in answers)
    assert any("10 AM to 2 PM" in answer or "9 AM to 5 PM" in answer for answer in answers)
    assert "oodbye" in answers[-1]
    partials = payloads(done, "response_transcript_partial")
    by_response: dict[str, str] = {}
    for partial in partials:
        assert partial["type"] == "response.audio_transcript.delta"
        before = by_response.get(partial["response_id"], "")
        by_response[partial["response_id"]] = before + partial["delta"]
    assert list(by_response.values()) == [greeting, *answers]
    assert len({partial["event_id"] for partial in partials}) == len(partials)

    for deltas, whole in responses(done):
        assert whole == deltas
        assert all(len(base64.b64decode(delta)) % 2 == 0 for delta in deltas)
        assert level(decoded(deltas)) > 500
    assert len(responses(done)) == 1 + len(answers)

    # The greeting and the first answer were interrupted; the page's loudspeaker fell silent.
    silenced = done.of("ear")
    assert len(silenced) >= 2
    assert len(payloads(done, "backend_ready")) == 1 + len(silenced)
    assert silenced[0]["left"] > 1_000

    record = records.only()
    conversation = record.conversation
    assert (conversation["protocol"], conversation["heard"]) == ("socketio", "assumed")
    assert record.metadata == {"campaign": "spring"}
    agree(
        Seen(
            greeting=greeting,
            user=payloads(done, "transcription_final"),
            agent=answers,
            tools=[("opening_hours", {"day": "Friday"})],
            end="agent_ended",
        ),
        record,
    )
    for item, ear in zip(record.interrupted(), silenced, strict=True):
        (deltas,) = (d for d, _ in responses(done) if whole_ms(item, record, done) == ms_of(d))
        heard_ms = item["ended_ms"] - item["started_ms"]
        apart_ms = abs(ms_of(deltas) - ear["left"] - heard_ms)
        assert apart_ms < LATE_MS, "the clock says what was heard"


LATE_MS = 1_500
"""So late a busy machine may poll what a client is taken to hear."""


def ms_of(deltas):
    return len(decoded(deltas)) * 1000 // (RATE_HZ * 2)


def whole_ms(item, record, done):
    """How long the whole sound of the agent's item is."""
    number = [row["item_id"] for row in record.items if row["role"] == "agent"].index(
        item["item_id"]
    )
    return ms_of(responses(done)[number][0])


def test_a_booking_by_voice(server, records, said):
    done = run(
        server,
        [
            *BEGIN,
            {"until": "response_audio"},
            said("appointment"),
            {"heard": True},
            said("monday"),
            {"heard": True},
            said("name"),
            {"heard": True},
            said("yes"),
        ],
    )
    *_, booked = payloads(done, "response_transcript_final")
    assert "It is booked." in booked
    record = records.only()
    ((name, arguments),) = record.tools
    assert (name, arguments["day"], arguments["name"]) == (
        "book_appointment",
        "Monday",
        "John Smith",
    )
    assert record.conversation["end_reason"] == "caller_hung_up"


def test_stop_ends_the_turn_of_a_page_that_falls_silent(server, records, tmp_path):
    file = tmp_path / "hours.pcm"
    file.write_bytes(speech("callers/hours", RATE_HZ))
    done = run(
        server,
        [
            {"until": "connect"},
            {"emit": ["start"]},
            {"emit": ["stop"]},
            {"until": "response_audio"},
            {"burst": str(file)},
            {"wait": 300},
            {"emit": ["stop"]},
            {"until": "response_transcript_final", "count": 2},
            {"emit": ["start"]},
            {"emit": ["stop"]},
            {"wait": 300},
        ],
    )
    (heard,) = payloads(done, "transcription_final")
    assert "opening hours" in heard.lower()
    assert payloads(done, "openai_error") == []
    assert len(records.only().user) == 1


AGENTS = """
from calls.models import Agent
Agent.objects.update_or_create(
    slug="mute", defaults={"name": "Mute", "first_message": "Hello. I write.", "tts_disabled": True}
)
Agent.objects.update_or_create(
    slug="long", defaults={"name": "Long", "first_message": "One two three four five six. " * 12}
)
"""


@pytest.fixture(scope="module")
def agents(server, manage):
    manage(server, "shell", "-c", AGENTS)


def test_an_agent_without_a_voice_writes(server, agents, records):
    steps = [*BEGIN, {"until": "response_text_final"}]
    done = run(server, steps, query={"agent": "mute"})
    (text,) = payloads(done, "response_text_final")
    assert text == "Hello. I write."
    assert "".join(payloads(done, "response_text_delta")) == text
    spoken = {"response_audio_delta", "response_audio", "response_transcript_partial"}
    assert not spoken & {line["event"] for line in done.of("event")}
    agree(Seen(greeting=text), records.only())


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]])
def test_an_event_longer_than_servers_usually_send_arrives(server, agents, transports):
    steps = [*BEGIN, {"until": "response_audio"}]
    done = run(server, steps, transports=transports, query={"agent": "long"})
    ((deltas, whole),) = responses(done)
    assert whole == deltas
    assert sum(map(len, whole)) > 1024 * 1024


LEVELS = 100


@pytest.mark.parametrize("transports", TRANSPORTS)
def test_a_hundred_chunks_keep_their_order(server, records, tmp_path, transports):
    file = tmp_path / "steps.pcm"
    steps = array.array("h")
    for number in range(LEVELS):
        steps.extend([200 + 100 * number] * CHUNK_SAMPLES)
    file.write_bytes(steps.tobytes())
    run(server, [*BEGIN, {"until": "backend_ready"}, {"speak": str(file)}], transports=transports)
    record = records.only()
    caller, _ = records.stored.sound(record.call_id)
    chunk = CHUNK_SAMPLES * 2 // 3
    found = [round((value - 200) / 100) for value in array.array("h", caller) if value > 150]
    ordered = sorted(set(found))
    assert ordered[-1] >= LEVELS - 2
    assert len(ordered) >= LEVELS - 2
    firsts = [found.index(number) for number in range(1, LEVELS - 2)]
    assert firsts == sorted(firsts)
    assert (firsts[-1] - firsts[0]) / (len(firsts) - 1) == pytest.approx(chunk, rel=0.05)


def test_two_pages_are_two_calls(server, records, said):
    plans = {
        name: [
            *BEGIN,
            {"until": "response_audio"},
            said(name),
        ]
        for name in ("hours", "appointment")
    }
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda plan: run(server, plan), plans.values())
    hours, appointment = (payloads(done, "transcription_final")[-1] for done in (first, second))
    assert "hours" in hours.lower()
    assert "appointment" in appointment.lower()
    both = [records.ended(call_id) for call_id in wait_for_two(records)]
    assert sorted(record.user[-1] for record in both) == sorted([hours, appointment])


def wait_for_two(records: Records):
    records.stored.until(lambda: len(records.new()) == 2)
    return records.new()


def test_a_page_that_connects_again_has_a_new_call(server, records):
    done = run(
        server,
        [
            {"until": "connect"},
            {"emit": ["start"]},
            {"until": "response_audio"},
            {"disconnect": True},
            {"connect": True},
            {"until": "connect", "count": 2},
            {"emit": ["start"]},
            {"until": "response_audio", "count": 2},
        ],
    )
    first, second = lives(done, "connect")
    assert first["detail"] != second["detail"]
    for call_id in wait_for_two(records):
        assert records.ended(call_id).conversation["end_reason"] == "caller_hung_up"


@pytest.mark.parametrize("transports", TRANSPORTS)
def test_a_page_of_another_origin_is_refused(server, records, transports):
    refused = run(
        server,
        [{"until": "connect_error"}],
        transports=transports,
        extraHeaders={"origin": "http://evil.example"},
    )
    assert lives(refused, "connect") == []
    assert records.new() == []


def test_a_page_of_an_allowed_origin_is_let_in(start_server):
    server = start_server(ALLOWED_ORIGINS="http://localhost:5173")
    for origin in ("http://localhost:5173", server.url):
        done = run(server, [{"until": "connect"}], extraHeaders={"origin": origin})
        assert len(lives(done, "connect")) == 1


def test_an_agent_that_is_not_there(server, records):
    done = run(
        server,
        [{"until": "connect"}, {"emit": ["start"]}, {"until": "disconnect"}],
        auth={"agent": "nobody"},
    )
    (error,) = payloads(done, "openai_error")
    assert error["error"]["code"] == "no_such_agent"
    assert lives(done, "disconnect")[0]["detail"] == "io server disconnect"
    assert records.new() == []


@pytest.mark.parametrize("transports", TRANSPORTS)
def test_the_end_of_the_server_is_the_end_of_the_call(start_server, transports, tmp_path):
    server = start_server()
    records = Records(server)
    upgrades = transports == ["polling", "websocket"]
    connect = [{"until": "connect"}, *([{"until": "upgrade"}] if upgrades else [])]
    there = tmp_path / "idle"
    wait = [{"mark": str(there)}, {"until": "disconnect"}]
    with ThreadPoolExecutor(2) as pool:
        calling = pool.submit(run, server, [*connect, *BEGIN[1:], wait[-1]], transports=transports)
        idle = pool.submit(run, server, [*connect, *wait], transports=transports)
        records.stored.until(lambda: bool(records.new()), 30)
        records.stored.until(lambda: bool(records.stored.items(records.new()[0])), 30)
        records.stored.until(there.exists, 30)
        assert server.terminate() == 0
    for done in (calling.result(), idle.result()):
        (left,) = lives(done, "disconnect")
        assert left["detail"] == "io server disconnect"
        assert payloads(done, "openai_error") == []
    assert records.only().conversation["end_reason"] == "restarted"


def test_the_example_of_the_page_runs(server, records, tmp_path):
    page = (ROOT / "docs/protocols/socketio.md").read_text()
    (example,) = re.findall(r"```js\n(.+?)```", page, re.DOTALL)
    assert "http://127.0.0.1:8000" in example
    folder = tmp_path / SCRIPT.parent.name
    folder.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SCRIPT.parent / name, folder)
    (folder / "question.pcm").write_bytes(speech("callers/hours", RATE_HZ))
    script = folder / "example.mjs"
    ended = "\nsocket.on('transcription_final', () => setTimeout(() => socket.disconnect(), 1500));"
    script.write_text(example.replace("http://127.0.0.1:8000", server.url) + ended)
    done = run_node(script, timeout_s=60)
    assert "caller: what are your opening hours" in done.stdout
    assert "agent: We are open" in done.stdout
    assert records.only().metadata == {"campaign": "spring"}
