"""Calls of the demo agent, end to end: the real server, its engines, its database."""

import array
import json
import math

import pytest

from calls.domain.audio import AGENT, CALLER
from tests.server.callers import Caller, kept_server, pcm_of
from tests.server.stored import Stored

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    with kept_server(installation, tmp_path_factory.mktemp("calls") / "var") as started:
        yield started


def level(pcm):
    """Root mean square of the loudest 100 ms, 0 to 32768."""
    samples = array.array("h", pcm)
    step = AGENT.samples(100)
    blocks = [samples[at : at + step] for at in range(0, max(1, len(samples) - step), step)]
    return max(math.sqrt(sum(s * s for s in block) / len(block)) for block in blocks)


async def test_a_typed_conversation_with_a_booking_and_a_goodbye(server):
    async with Caller(server.ws_url) as caller:
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

    stored = Stored(server.var_dir)
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


async def test_a_spoken_turn_is_understood_and_answered(server):
    async with Caller(server.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        caller.hasty = False
        since = len(caller.messages)
        await caller.is_silent(400)
        await caller.speaks(pcm_of("she-sells"))
        await caller.is_silent(1_500)
        transcript = await caller.message("transcript", since=since)
        while not transcript["final"]:
            since = caller.messages.index(transcript) + 1
            transcript = await caller.message("transcript", since=since)
        assert "she sells" in transcript["text"].lower()
        await caller.until(
            lambda: any(
                item["status"] == "complete" and item["turn"] == transcript["turn"]
                for item in caller.items().values()
                if item["role"] == "agent"
            ),
            20,
        )
        answer = list(caller.items().values())[-1]
        assert level(caller.sound(answer["response_id"])) > 500
        turn = [turn for turn in caller.of("turn") if turn["latency_ms"] is not None][-1]
        assert sum(turn["stages"].values()) == turn["latency_ms"]
        await caller.hangs_up()
    stored = Stored(server.var_dir)
    stored.ended(ready["call_id"])
    user = next(row for row in stored.items(ready["call_id"]).values() if row["role"] == "user")
    stored.until(lambda: stored.recording(ready["call_id"])["state"] == "complete")
    caller_side, _ = stored.sound(ready["call_id"])
    begun, ended = (CALLER.bytes(user[edge]) for edge in ("started_ms", "ended_ms"))
    assert level(caller_side[begun:ended]) > 500
    assert level(caller_side[: begun - CALLER.bytes(500)]) < 100


async def test_who_interrupts_is_obeyed_at_once(server):
    async with Caller(server.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        caller.hasty = False
        await caller.types("How can I get to your office by bus?")
        await caller.until(lambda: len({number for number, _, _ in caller.frames}) == 2)
        response_id = caller.frames[-1][0]
        await caller.is_silent(600)
        await caller.speaks(pcm_of("she-sells"))
        assert response_id in caller.cleared
        at = len(caller.frames)
        await caller.is_silent(1_000)
        assert response_id not in {number for number, _, _ in caller.frames[at:]}
        await caller.hangs_up()
        items = caller.items().values()
        (answer,) = (item for item in items if item["response_id"] == response_id)
        assert answer["status"] == "interrupted"
        assert answer["unheard"]
    row = next(
        row
        for row in Stored(server.var_dir).items(ready["call_id"]).values()
        if row["response_id"] == response_id
    )
    assert (row["text"], row["unheard"]) == (answer["text"], answer["unheard"])


async def test_two_calls_at_once_do_not_mix(server):
    async with Caller(server.ws_url) as one, Caller(server.ws_url) as two:
        await one.start()
        await two.start()
        await one.hears_out()
        await two.hears_out()
        hours = await one.asks("What are your opening hours?")
        prices = await two.asks("How much does it cost?")
        assert "nine to five" in hours["text"]
        assert "eighty" in prices["text"]
        assert await one.hangs_up() == "caller_hung_up"
        assert "nine to five" in (await two.asks("What are your opening hours?"))["text"]
        assert await two.hangs_up() == "caller_hung_up"
