"""An appointment, asked for and booked by voice alone."""

import json

import pytest

from tests.e2e.way import way_to
from tests.server.stored import Stored

pytestmark = [pytest.mark.browser, pytest.mark.asyncio, pytest.mark.timeout(180)]

SPEECH = (
    *(3_000, "appointment"),
    *(4_500, "monday"),
    *(4_500, "name"),
    *(6_000, "yes"),
    *(7_500, "no-goodbye"),
)


async def test_an_appointment_is_booked_by_voice(start_server, visit):
    server = start_server()
    async with way_to(server.port) as way, visit(way.url, *SPEECH) as caller:
        await caller.call()
        await caller.reads("agent", "What day would suit you?")
        await caller.reads("agent", "What is your name, please?")
        await caller.reads("agent", "So that is Monday at 3 PM, for John Smith.")
        await caller.reads("tool", "Book appointment")
        await caller.reads("agent", "It is booked. Your number is")
        await caller.sees(caller.page.get_by_role("heading", name="Call ended"))
        items = await caller.items()
        [ready] = [message for _, message in await caller.received("ready")]
        tools = [message for _, message in await caller.received("tool")]
        assert caller.complaints == []

    [tool] = [item for item in items.values() if item["role"] == "tool"]
    assert (tool["tool"]["name"], tool["status"]) == ("book_appointment", "complete")
    wanted = {"day": "Monday", "time": "15:00", "name": "John Smith"}
    assert json.loads(tool["tool"]["arguments"]) == wanted
    result = json.loads(tool["text"])
    assert result["booked"] is True
    [told] = [item for item in items.values() if "It is booked" in item["text"]]
    assert " ".join(result["confirmation"]) in told["text"]
    assert [message["running"] for message in tools] == [True, False]
    stored = Stored(server.var_dir)
    assert stored.ended(ready["call_id"])["end_reason"] == "agent_ended"
    rows = stored.items(ready["call_id"])
    assert {n: row["text"] for n, row in rows.items()} == {n: i["text"] for n, i in items.items()}
