"""A whole conversation on a real server, whichever database it keeps its records in."""

import array
import json
import math

from calls.domain.audio import AGENT
from tests.server.callers import Caller
from tests.server.stored import Stored


def level(pcm):
    """Root mean square of the loudest 100 ms, 0 to 32768."""
    samples = array.array("h", pcm)
    step = AGENT.samples(100)
    blocks = [samples[at : at + step] for at in range(0, max(1, len(samples) - step), step)]
    return max(math.sqrt(sum(s * s for s in block) / len(block)) for block in blocks)


async def typed_conversation(ws_url: str, stored: Stored) -> None:
    """Typed, with a booking and a goodbye; what was shown and heard is on the record."""
    async with Caller(ws_url) as caller:
        ready = await caller.start()
        assert ready["agent"]["slug"] == "demo"
        assert "Offline demo" in ready["notice"]
        assert ready["recording"] is True
        await caller.hears_out()
        (greeting,) = caller.items().values()
        assert (greeting["role"], greeting["status"]) == ("agent", "complete")
        assert level(caller.sound(greeting["response_id"])) > 500

        answer = await caller.asks("What are your opening hours?")
        assert "nine to five" in answer["text"]
        assert answer["unheard"] == ""

        for line in ("I would like to book an appointment", "Monday", "ten o'clock", "Anna Smith"):
            await caller.asks(line)
        if not caller.of("tool"):
            await caller.asks("Yes")
        tool = next(item for item in caller.items().values() if item["role"] == "tool")
        assert (tool["status"], tool["tool"]["name"]) == ("complete", "book_appointment")
        assert json.loads(tool["tool"]["arguments"])

        await caller.types("Goodbye")
        assert (await caller.message("end"))["reason"] == "agent_ended"
        assert await caller.closed() == 1000
        items = caller.items()

    conversation = stored.ended(ready["call_id"])
    assert (conversation["end_reason"], conversation["protocol"]) == ("agent_ended", "browser")
    rows = stored.items(ready["call_id"])
    assert [(row["role"], row["text"], row["status"]) for row in rows.values()] == [
        (item["role"], item["text"], item["status"]) for item in items.values()
    ]
    assert [row["source"] for row in rows.values()][1] == "text"
    stored.until(lambda: stored.recording(ready["call_id"])["state"] == "complete")
    caller_side, agent_side = stored.sound(ready["call_id"])
    assert len(caller_side) == len(agent_side)
    assert level(agent_side) > 500
    assert level(caller_side) == 0
