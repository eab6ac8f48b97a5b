"""A server that is told to end while calls go on: who may finish, who is told what, what is left."""

import asyncio
import signal
import time

import httpx
import pytest

from tests.server.callers import Caller, pcm_of
from tests.server.protocols import PROTOCOLS, Line
from tests.server.stored import Stored
from tests.servers import RealServer, Uvicorn

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]

HOURS = "What are your opening hours?"
LONG = "How do I get to your office by bus?"
REFUSED = {"browser": 4503, "micdrop": 4503, "avr": 4503, "twilio": 4503}
TELEPHONES = ("avr", "twilio")


async def statuses(server):
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        answers = {path: await client.get(path) for path in ("/", "/livez", "/readyz")}
    return {path: answer.status_code for path, answer in answers.items()}


async def refusal(server, name):
    async with Line(server, PROTOCOLS[name]) as line:
        for frame in PROTOCOLS[name].opens:
            await line.send(frame)
        return await line.closed()


async def leaves(server, within_s):
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, server.process.wait, within_s)


def told(caller):
    return caller.of("end")[0]["reason"], caller.close_code


async def hears_an_answer(caller):
    """The next answer is heard in its own time, and has begun."""
    caller.hasty = False
    before = len(caller.played_ms)
    await caller.types(LONG)
    await caller.until(lambda: len(caller.played_ms) > before)


@pytest.mark.parametrize("on", [RealServer, Uvicorn])
async def test_turns_that_go_on_are_finished_and_nobody_else_comes_in(start_server, on):
    server = start_server(on=on)
    async with (
        Caller(server.ws_url) as idle,
        Caller(server.ws_url) as listening,
        Caller(server.ws_url) as speaking,
        Line(server, PROTOCOLS["micdrop"]) as elsewhere,
    ):
        for caller in (idle, listening, speaking):
            await caller.start()
        await elsewhere.begin()
        for caller in (idle, listening, speaking):
            await caller.hears_out()
        listening.hasty = False
        await listening.types(HOURS)
        await listening.until(lambda: len(listening.played_ms) == 2)
        words = asyncio.get_running_loop().create_task(speaks_a_sentence(speaking))
        await speaking.until(lambda: speaking.of("phase")[-1]["phase"] == "hearing")

        server.process.send_signal(signal.SIGTERM)
        signalled_s = time.monotonic()
        assert await idle.closed(2) == 4512, "nobody speaks: at once"
        assert await statuses(server) == {"/": 200, "/livez": 200, "/readyz": 503}
        refused = {name: await refusal(server, name) for name in REFUSED}
        assert refused == REFUSED
        await words
        assert await listening.closed(20) == 4512
        assert await speaking.closed(20) == 4512
        assert await elsewhere.closed(20) in (1000, 1006, 1012), "no code of ours"
        assert [told(caller) for caller in (idle, listening, speaking)] == [("restarted", 4512)] * 3
        answers = [list(caller.items().values())[-1] for caller in (listening, speaking)]
        assert [(item["role"], item["status"]) for item in answers] == [("agent", "complete")] * 2
        assert "she sells" in speaking.items()[2]["text"].lower()
    assert await leaves(server, 20) in (0, -signal.SIGTERM), server.log()
    assert time.monotonic() - signalled_s < 20, "well before the deadline"
    stored = Stored(server.var_dir)
    for caller in (idle, listening, speaking):
        call_id = caller.ready["call_id"]
        assert stored.conversation(call_id)["end_reason"] == "restarted"
        assert stored.recording(call_id)["state"] == "complete"
        rows = stored.items(call_id)
        shown = {number: item["text"] for number, item in caller.items().items()}
        assert {number: row["text"] for number, row in rows.items()} == shown


async def speaks_a_sentence(caller):
    await caller.is_silent(300)
    await caller.speaks(pcm_of("she-sells"))
    await caller.is_silent(1_500)


async def test_what_is_left_at_the_deadline_is_told_and_stored(start_server):
    server = start_server(DRAIN_MS="1200")
    async with Caller(server.ws_url) as caller:
        await caller.start()
        await caller.hears_out()
        await hears_an_answer(caller)
        server.process.send_signal(signal.SIGTERM)
        signalled_s = time.monotonic()
        assert await caller.closed(10) == 4512
        assert 1.1 < time.monotonic() - signalled_s < 4
        assert told(caller) == ("restarted", 4512)
        answer = list(caller.items().values())[-1]
        assert (answer["status"], bool(answer["unheard"])) == ("interrupted", True)
    assert await leaves(server, 10) == 0
    stored = Stored(server.var_dir)
    call_id = caller.ready["call_id"]
    assert stored.conversation(call_id)["end_reason"] == "restarted"
    assert list(stored.items(call_id).values())[-1]["unheard"] == answer["unheard"]
    assert stored.recording(call_id)["state"] == "complete"


async def test_a_second_signal_hurries_and_loses_nothing(start_server):
    server = start_server()
    async with Caller(server.ws_url) as caller:
        await caller.start()
        await caller.hears_out()
        await hears_an_answer(caller)
        for _ in range(2):
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
        again_s = time.monotonic()
        assert await caller.closed(5) == 4512
        assert await leaves(server, 10) == 0
        assert time.monotonic() - again_s < 5
    stored = Stored(server.var_dir)
    call_id = caller.ready["call_id"]
    assert stored.conversation(call_id)["end_reason"] == "restarted"
    assert list(stored.items(call_id).values())[-1]["status"] == "interrupted"
    assert stored.recording(call_id)["state"] == "complete"
