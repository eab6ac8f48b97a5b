"""The examples of docs/python-api.md are run as they stand there."""

import asyncio
import json
from pathlib import Path

import pytest
import pytest_asyncio

from calls.agents import Message
from calls.agents.tools import FunctionTool
from calls.domain import effects as do
from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus, Role
from calls.ports.client import AudioFrame
from calls.ports.speech import ToolCallRequested
from calls.ports.tools import ToolError
from tests.agents.bench import code_blocks, code_call, run_block

BLOCKS = code_blocks(Path(__file__).parents[2] / "docs" / "python-api.md")


def test_no_block_is_left_out():
    assert set(BLOCKS) == {"worked example", "tools", "language model", "ears and mouth"}


@pytest.mark.asyncio
async def test_the_worked_example(info):
    agent = run_block(BLOCKS["worked example"], "workshop_agents").Workshop()
    async with code_call(agent, info) as call:
        await call.until(lambda: len(call.records.items) == 1 and call.listening)
        greeting = call.client.of(AudioFrame)
        assert sum(len(frame.pcm) for frame in greeting) == 13 * 2_400
        await call.caller_types("hm")
        await call.caller_types("12")
        await call.caller_types("99")
        await call.caller_types("no thanks")
        await call.until(lambda: call.running.done())
    assert agent.system_prompt == "The caller comes from /pricing."
    assert call.said() == [
        ("agent", "Hello, this is the bicycle workshop. What is the number of your ticket?"),
        ("user", "hm"),
        ("user", "12"),
        ("tool", "ready"),
        ("agent", "It is ready. Anything else?"),
        ("user", "99"),
        ("tool", '{"error": "There is no ticket of that number."}'),
        ("agent", "I am afraid not. Anything else?"),
        ("user", "no thanks"),
        ("agent", "Thank you for calling. Goodbye!"),
    ]
    items = call.records.items
    assert items[2].status is ItemStatus.CANCELLED
    assert items[5].metadata == {"looked_up": True}
    sent = [effect.item for effect in call.client.of(do.SendItem)]
    assert {"looked_up": True} in [item.metadata for item in sent if item.role is Role.AGENT]
    assert (items[4].tool_name, items[4].arguments) == ("repair_status", '{"ticket": 12}')
    assert (items[4].status, items[7].status) == (ItemStatus.COMPLETE, ItemStatus.FAILED)
    assert call.records.reason is EndReason.AGENT_ENDED
    assert [message.role for message in agent.seen] == [
        "assistant", "user", "user", "tool", "assistant", "user", "tool", "assistant", "user",
        "assistant",
    ]  # fmt: skip
    assert agent.summary.reason is EndReason.AGENT_ENDED
    assert agent.summary.duration_ms == call.records.duration_ms > 0
    assert Message("user", "hm") not in agent.summary.conversation
    assert agent.summary.conversation[-1] == Message("assistant", "Thank you for calling. Goodbye!")


@pytest.mark.asyncio
async def test_the_worked_example_speaks_up_by_itself(info):
    agent = run_block(BLOCKS["worked example"], "workshop_agents").Workshop()
    async with code_call(agent, info) as call:
        await call.until(lambda: len(call.records.items) == 1 and call.listening)
        await call.caller_types("one moment")
        await call.until(lambda: ("agent", "I am waiting.") in call.said())
        [waiting] = [i for i in call.records.items.values() if i.text == "I am waiting."]
        assert waiting.metadata == {"patient": True}
    assert agent.summary.reason is EndReason.CALLER_HUNG_UP


@pytest.mark.asyncio
async def test_the_tools(info):
    module = run_block(BLOCKS["tools"], "practice_agents")
    free_slots = module.free_slots
    assert isinstance(free_slots, FunctionTool)
    assert free_slots.timeout_ms == 3_000
    assert await free_slots.run(info, {"day": "2026-11-20", "part": "afternoon"}) == '["15:00"]'
    assert await free_slots.run(info, {"day": "2026-11-21"}) == "[]"
    with pytest.raises(ToolError, match="has to be a date"):
        await free_slots.run(info, {"day": "tomorrow"})
    agent = module.Practice()
    async with code_call(agent, info) as call:
        call.llm.scripts.append([ToolCallRequested("t1", "free_slots", '{"day": "2026-11-20"}')])
        call.llm.scripts.append(["At nine or half past eleven."])
        await call.caller_types("When can I come?")
        assert [spec.name for spec in call.llm.asked[0].prompt.tools] == ["free_slots"]
        assert call.said()[1:] == [
            ("tool", '["9:00", "11:30"]'),
            ("agent", "At nine or half past eleven."),
        ]


@pytest.mark.asyncio
async def test_the_ears_and_the_mouth(info):
    agent = run_block(BLOCKS["ears and mouth"], "parrot_agents").Parrot()
    async with code_call(agent, info) as call:
        await call.clock.advance(1_000)
        assert call.said() == []
        await call.caller_says(bytes(2 * 24_000))
        assert call.said() == [
            ("user", "1.5 seconds"),
            ("agent", "You have spoken for 1.5 seconds."),
        ]
        assert call.stt.utterances == []
        frames = call.client.of(AudioFrame)
        assert sum(len(frame.pcm) for frame in frames) == pytest.approx(32 * 600 * 2, abs=8)


@pytest_asyncio.fixture
async def model_server(monkeypatch):
    """A server with the manners of a chat completions API; `answers` are given in order."""
    asked, answers = [], []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        asked.append(json.loads(await reader.readexactly(size)))
        message = {"role": "assistant", "content": answers.pop(0)}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        sent = json.dumps({**body, "choices": [choice]}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(sent), sent)
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    async with server:
        yield asked, answers


@pytest.mark.asyncio
async def test_the_language_model(info, model_server):
    asked, answers = model_server
    answers += ["What is your name?", "Thank you. END_CALL"]
    block = BLOCKS["language model"]
    agent = (await asyncio.to_thread(run_block, block, "interviewer_agents")).Interviewer()
    async with code_call(agent, info) as call:
        await call.until(lambda: len(call.records.items) == 1 and call.listening)
        await call.caller_types("Ada")
        await call.until(lambda: call.running.done())
    assert call.said() == [
        ("agent", "What is your name?"),
        ("user", "Ada"),
        ("agent", "Thank you."),
    ]
    assert asked[0]["messages"] == [{"role": "system", "content": agent.system_prompt}]
    assert [m["role"] for m in asked[1]["messages"]] == ["system", "assistant", "user"]
    assert call.records.reason is EndReason.AGENT_ENDED
    await agent.client.close()
