"""Calls that lose their socket, their process or their server, and what is left of them."""

import asyncio

import pytest

from calls.domain.audio import AGENT
from tests.server.callers import Caller, kept_server, pcm_of
from tests.server.stored import Stored

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    with kept_server(installation, tmp_path_factory.mktemp("calls") / "var") as started:
        yield started


LONG = "How do I get to your office by bus?"


def shown(caller):
    """What the page was told is safely stored."""
    return {number: (item["text"], item["status"]) for number, item in caller.items().items()}


async def test_a_killed_process_loses_nothing_that_was_shown(start_server):
    server = start_server()
    async with Caller(server.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        caller.hasty = False
        await caller.types("What are your opening hours?")
        await caller.until(lambda: len(caller.items()) >= 2)
        await caller.speaks(pcm_of("yes"))
        server.kill()
        await caller.closed()
        acknowledged = shown(caller)

    stored = Stored(server.var_dir)
    assert stored.conversation(ready["call_id"])["status"] == "active"
    start_server(var_dir=server.var_dir)
    conversation = stored.ended(ready["call_id"])
    assert conversation["end_reason"] == "interrupted"
    rows = stored.items(ready["call_id"])
    for number, (text, _) in acknowledged.items():
        assert rows[number]["text"] == text
    assert {row["status"] for row in rows.values()} <= {"complete", "interrupted", "cancelled"}
    stored.until(lambda: stored.recording(ready["call_id"])["state"] == "truncated")
    caller_side, agent_side = stored.sound(ready["call_id"])
    assert len(caller_side) == len(agent_side)
    assert stored.recording(ready["call_id"])["duration_ms"] > 1_000


async def test_a_killed_server_is_not_come_back_into(start_server):
    server = start_server()
    async with Caller(server.ws_url) as caller:
        await caller.start()
        server.kill()
        await caller.closed()
        again = start_server(var_dir=server.var_dir)
        caller.url = caller.url.replace(server.ws_url, again.ws_url)
        with pytest.raises(AssertionError):
            await caller.come_back()
        assert caller.close_code == 4410
        assert caller.codes() == ["ended"]


async def test_after_a_drop_nothing_is_said_twice_and_nothing_is_lost(server):
    async with Caller(server.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        caller.hasty = False
        await caller.types(LONG)
        await caller.until(lambda: len(caller.played_ms) == 2)
        response_id = max(caller.played_ms)
        await caller.until(lambda: caller.played_ms[response_id] > 600)
        await caller.drop()
        before = len(caller.frames)
        heard_ms = int(caller.played_ms[response_id])
        await asyncio.sleep(1)
        back = await caller.come_back()
        assert back["resumed"] is True
        assert back["call_id"] == ready["call_id"]
        await caller.until(
            lambda: any(end["response_id"] == response_id for end in caller.of("audio_end")), 20
        )
        await caller.hears_out(20)
        again = [frame for frame in caller.frames[before:] if frame[0] == response_id]
        assert again[0][1] == heard_ms, "from where the ear was"
        ends = [start_ms + AGENT.ms(pcm) for _, start_ms, pcm in again]
        assert [start_ms for _, start_ms, _ in again[1:]] == ends[:-1], "without gaps"
        (end,) = (end for end in caller.of("audio_end") if end["response_id"] == response_id)
        assert ends[-1] == end["length_ms"]
        repeated = [frame for frame in caller.frames[:before] if frame[0] == response_id]
        whole = caller.sound(response_id)
        for _, start_ms, pcm in repeated:
            at = AGENT.bytes(start_ms)
            assert whole[at : at + len(pcm)] == pcm, "the same sound in the same place"
        await caller.until(lambda: list(caller.items().values())[-1]["status"] == "complete")
        assert await caller.hangs_up() == "caller_hung_up"
    stored = Stored(server.var_dir)
    stored.ended(ready["call_id"])
    rows = list(stored.items(ready["call_id"]).values())
    assert [row["status"] for row in rows] == ["complete"] * 3
    stored.until(lambda: stored.recording(ready["call_id"])["state"] == "complete")


async def test_words_spoken_into_a_dead_line_arrive_after_it_is_back(server):
    """The page keeps the microphone's last seconds and sends them in one go."""
    async with Caller(server.ws_url) as caller:
        await caller.start()
        await caller.hears_out()
        caller.hasty = False
        await caller.is_silent(300)
        await caller.drop()
        await asyncio.sleep(2.2)
        back = await caller.come_back()
        assert back["microphone_position"] == caller.position
        since = len(caller.messages)
        await caller.speaks(pcm_of("she-sells"), pace=50)
        await caller.is_silent(1_000)
        await caller.until(
            lambda: any(
                message["final"] and "she sells" in message["text"].lower()
                for message in caller.messages[since:]
                if message["type"] == "transcript"
            )
        )


async def test_nobody_comes_back(start_server):
    server = start_server()
    async with Caller(server.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        assert ready["limits"]["resume_ms"] > 0
        await caller.drop()
        assert server.process.poll() is None
        stored = Stored(server.var_dir)
        assert stored.conversation(ready["call_id"])["status"] == "active"
        server.terminate()
        assert stored.conversation(ready["call_id"])["end_reason"] == "restarted"
