"""`@openai/agents-realtime`, as npm has it, in a whole call with the real server."""

import json
import urllib.request
from pathlib import Path

import pytest

from tests.interop.calls import Seen, agree
from tests.interop.node import run_node
from tests.interop.realtime import prepared, sounds_in

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

FOLDER = Path(__file__).parent / "agents_realtime"
SCRIPT = FOLDER / "call.mjs"
OPENING = FOLDER / "opening.mjs"
MISTRUSTED = {
    "conversation.item.created",
    "conversation.item.input_audio_transcription.segment",
    "input_audio_buffer.dtmf_event_received",
    "input_audio_buffer.timeout_triggered",
}
"""Names of the GA that end other clients' sessions."""


@pytest.fixture(scope="module")
def key(server, manage):
    return prepared(server, manage)


def test_a_whole_call(server, records, key, tmp_path):
    url = f"{server.ws_url}/v1/realtime?model=front"
    done = run_node(SCRIPT, url, key, sounds_in(tmp_path / "sounds"), timeout_s=150)
    for kind in ("generic", "server_error", "error", "uncaught"):
        assert done.of(kind) == []
    (session,) = done.of("session")
    assert (session["instructions"], session["tools"]) == ("Answer briefly.", ["opening_hours"])

    hours, friday, spoken, last = (answer["text"] for answer in done.of("answer"))
    assert "nine to five" in hours
    assert hours == spoken
    assert "10 AM to 2 PM" in friday
    assert friday == last
    assert [tool["day"] for tool in done.of("tool")] == ["Friday", "Friday"]
    assert "opening hours" in done.of("heard")[0]["transcript"]
    assert done.of("answer")[0]["soundMs"] > 2_000
    # The microphone cut the sound that was left of an answer, a button and speech did the others.
    assert len(done.of("interrupted")) == 3
    (cut,) = done.of("cut")
    assert 500 < cut["audioEndMs"] < 1_500
    (events,) = done.of("events")
    assert not MISTRUSTED & set(events["types"])

    record = records.only()
    (history,) = done.of("history")
    agree(_seen(history["items"]), record)
    assert done.of("greeting")[0]["text"] == record.agent[0]
    assert record.conversation["protocol"] == "openai-realtime"
    assert record.conversation["agent_slug"] == "front"
    button, speech = (item for item in record.interrupted() if "bus" in _whole(item))
    assert button["ended_ms"] - button["started_ms"] == cut["audioEndMs"]
    assert button["unheard"]
    assert speech["unheard"]


def test_a_secret_opens_a_call_and_configures_it(server, records, key):
    request = urllib.request.Request(
        f"{server.url}/v1/realtime/client_secrets",
        data=json.dumps({"session": {"type": "realtime", "model": "front"}}).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        secret = json.load(answer)["value"]
    assert secret.startswith("ek_")
    url = f"{server.ws_url}/v1/realtime?model=front"
    done = run_node(OPENING, url, secret)
    assert done.of("refused") == []
    assert done.of("error") == []
    assert "nine to five" in done.of("answer")[0]["text"]
    assert records.only().conversation["agent_slug"] == "front"


def test_a_wrong_key_is_refused_at_once(server, records):
    done = run_node(OPENING, f"{server.ws_url}/v1/realtime", "sk-voice-wrong", timeout_s=30)
    (refused,) = done.of("refused")
    assert "403" in refused["what"]
    assert done.of("connection")[-1] == {"type": "connection", "state": "disconnected"}
    assert records.new() == []


def _whole(item):
    return item["text"] + item["unheard"]


def _seen(items):
    """The call as the client has it in its history."""
    said = [item for item in items if item["type"] == "message"]
    return Seen(
        user=[item["text"] for item in said if item["role"] == "user"],
        agent=[item["text"] for item in said if item["role"] == "assistant"],
        tools=[
            (item["name"], {"day": "Friday"}) for item in items if item["type"] == "function_call"
        ],
        end="caller_hung_up",
    )
