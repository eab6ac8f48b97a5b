"""Calls of the demo agent, end to end: the real server, its engines, its database."""

import pytest

from calls.domain.audio import CALLER
from tests.server.callers import Caller, kept_server, pcm_of
from tests.server.stored import Stored
from tests.server.stories import level, typed_conversation

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    with kept_server(installation, tmp_path_factory.mktemp("calls") / "var") as started:
        yield started


async def test_a_typed_conversation_with_a_booking_and_a_goodbye(server):
    await typed_conversation(server.ws_url, Stored(server.var_dir))


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
