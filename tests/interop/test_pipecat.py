"""pipecat's OpenAI Realtime service in a call with the real server."""

from pathlib import Path

import pytest

from tests.interop.calls import Seen, agree
from tests.interop.realtime import prepared, sounds_in
from tests.interop.venvs import python_with, run_python

pytestmark = [pytest.mark.interop_heavy, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).parent / "pipecat" / "call.py"


@pytest.fixture(scope="module")
def key(server, manage):
    python_with(SCRIPT.parent)
    return prepared(server, manage)


def test_a_whole_call(server, records, key, tmp_path):
    sounds = sounds_in(tmp_path / "sounds")
    done = run_python(SCRIPT, f"{server.ws_url}/v1/realtime", key, sounds, timeout_s=150)
    assert done.of("error") == []
    hours, spoken, friday = (answer["text"] for answer in done.of("answer"))
    assert "nine to five" in hours
    assert hours == spoken
    assert "10 AM to 2 PM" in friday
    assert done.of("answer")[0]["sound_ms"] > 2_000
    assert len(done.of("interrupted")) == 2
    assert [tool["arguments"] for tool in done.of("tool")] == [{"day": "Friday"}]

    record = records.only()
    assert record.conversation["protocol"] == "openai-realtime"
    (context,) = done.of("context")
    agree(_seen(context["messages"]), record)
    # What the client truncated each time the caller began to speak.
    first, second = record.interrupted()[:2]
    assert first["unheard"]
    assert second["unheard"]


def _seen(messages):
    """The call as the client has it in its context."""
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    return Seen(
        user=[message["content"] for message in messages if message["role"] == "user"],
        agent=[
            message["content"]
            for message in messages
            if message["role"] == "assistant" and "content" in message
        ],
        tools=[(call["function"]["name"], {"day": "Friday"}) for call in calls],
        end="caller_hung_up",
    )
