"""`livekit-plugins-openai`'s Realtime model in a call with the real server."""

from pathlib import Path

import pytest

from tests.interop.calls import Seen, agree
from tests.interop.realtime import prepared, sounds_in
from tests.interop.venvs import python_with, run_python

pytestmark = [pytest.mark.interop_heavy, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).parent / "livekit" / "call.py"
TRUNCATED_MS = 900


@pytest.fixture(scope="module")
def key(server, manage):
    python_with(SCRIPT.parent)
    return prepared(server, manage)


def test_a_whole_call(server, records, key, tmp_path):
    sounds = sounds_in(tmp_path / "sounds")
    done = run_python(SCRIPT, f"{server.url}/v1", key, sounds, TRUNCATED_MS, timeout_s=150)
    assert done.of("server_error") == []
    assert done.of("error") == []
    hours, friday, spoken = (answer["text"] for answer in done.of("answer"))
    assert "nine to five" in hours
    assert hours == spoken
    assert "10 AM to 2 PM" in friday
    assert [tool["name"] for tool in done.of("tool")] == ["opening_hours"]
    assert "opening hours" in done.of("heard")[0]["transcript"]
    assert done.of("answer")[0]["sound_ms"] > 2_000
    assert "conversation.item.truncated" in done.of("events")[0]["types"]

    record = records.only()
    (history,) = done.of("history")
    agree(_seen(done.of("greeting")[0]["text"], history["items"]), record)
    # The caller began to speak before an answer was over; of another one the client heard so much.
    spoken_over, cut = record.interrupted()
    assert "10 AM" in spoken_over["text"] + spoken_over["unheard"]
    assert cut["ended_ms"] - cut["started_ms"] == TRUNCATED_MS
    assert "library" in cut["unheard"]


def _seen(greeting, items):
    """The call as the client has it in its chat context."""
    said = [item for item in items if item["type"] == "message"]
    words = {role: [] for role in ("user", "assistant")}
    for item in said:
        words[item["role"]].append("".join(item["content"]))
    assert words["assistant"].pop(0) == greeting
    return Seen(
        greeting=greeting,
        user=words["user"],
        agent=words["assistant"],
        tools=[("opening_hours", {"day": "Friday"})],
        end="caller_hung_up",
    )
