"""What an agent's code hears of its call: everything settled, in order, then the end."""

import asyncio
import logging

import pytest

from calls.agents import CallSummary, LiveCall, Message, VoiceAgent
from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Role
from calls.domain.state import CallState, Policy
from calls.domain.timings import Turn, TurnTimings
from calls.providers.code import telling
from calls.providers.code.session import CodeAgent
from tests.agents.test_live_call import RunningDouble
from tests.doubles.records import MemoryRecords

HI = Item(1, Role.USER, "Hi", 1)
HELLO_COMING = Item(2, Role.AGENT, "", 1, ItemStatus.IN_PROGRESS, unheard="Hello!")
HELLO = Item(2, Role.AGENT, "Hello!", 1, revision=1, metadata={"mood": "warm"})
UNHEARD = Item(3, Role.AGENT, "", 2, ItemStatus.INTERRUPTED, unheard="Oh.")


class Listening(VoiceAgent):
    def __init__(self):
        self.told = []

    def on_message(self, message):
        self.told.append(message)

    async def on_end(self, summary):
        self.told.append(summary)


@pytest.fixture
def opened(info):
    def open_with(agent):
        agent.call = LiveCall(info, asyncio.get_running_loop())
        code = CodeAgent(agent)
        state = CallState(policy=Policy(), items=(HI, HELLO))
        code.connect(RunningDouble(info, state))
        return code

    return open_with


@pytest.mark.asyncio
async def test_messages_come_once_when_they_are_settled_and_then_the_end(opened):
    agent, inner = Listening(), MemoryRecords()
    code = opened(agent)
    records = code.records(inner)
    running = asyncio.get_running_loop().create_task(code.run())
    for item in (HI, HELLO_COMING, HELLO, HELLO, UNHEARD):
        await records.store_item(item)
    await records.finish(EndReason.AGENT_ENDED, duration_ms=1_234)
    await records.finish(EndReason.AGENT_ENDED, duration_ms=1_234)
    await running
    hello = Message("assistant", "Hello!", {"mood": "warm"})
    conversation = (Message("user", "Hi"), hello)
    summary = CallSummary(conversation, 1_234, EndReason.AGENT_ENDED, "call-1")
    assert agent.told == [Message("user", "Hi"), hello, summary]
    assert inner.items == {1: HI, 2: HELLO, 3: UNHEARD}
    assert (inner.reason, inner.duration_ms) == (EndReason.AGENT_ENDED, 1_234)


@pytest.mark.asyncio
async def test_a_message_is_told_when_it_is_safely_stored_or_when_the_call_ends(opened):
    agent, inner = Listening(), MemoryRecords()
    code = opened(agent)
    records = code.records(inner)
    loop = asyncio.get_running_loop()
    running = loop.create_task(code.run())
    inner.open.clear()
    storing = loop.create_task(records.store_item(HI))
    await asyncio.sleep(0)
    assert agent.told == []
    storing.cancel()
    await records.finish(EndReason.CALLER_HUNG_UP, duration_ms=1)
    await running
    assert [type(entry) for entry in agent.told] == [Message, CallSummary]


@pytest.mark.asyncio
async def test_a_failing_handler_is_logged_by_type_and_place_and_the_next_is_called(opened, caplog):
    class Failing(Listening):
        def on_message(self, message):
            super().on_message(message)
            raise SystemExit(message.content)

    agent = Failing()
    code = opened(agent)
    records = code.records(MemoryRecords())
    running = asyncio.get_running_loop().create_task(code.run())
    await records.store_item(HI)
    await records.store_item(HELLO)
    await records.finish(EndReason.AGENT_ENDED, duration_ms=1)
    await running
    assert len(agent.told) == 3
    assert caplog.text.count("An agent's on_message failed") == 2
    assert "test_code_telling.py" in caplog.text
    assert "Hello!" not in caplog.text


@pytest.mark.asyncio
async def test_a_slow_handler_is_left_behind_but_not_the_end(opened, monkeypatch, caplog):
    monkeypatch.setattr(telling, "WAITING_MESSAGES", 2)
    monkeypatch.setattr(telling, "HANDLER_MS", 20)

    class Slow(Listening):
        async def on_message(self, message):
            self.told.append(message)
            await asyncio.Event().wait()

    agent = Slow()
    code = opened(agent)
    records = code.records(MemoryRecords())
    running = asyncio.get_running_loop().create_task(code.run())
    await asyncio.sleep(0)
    for number in range(1, 6):
        await records.store_item(Item(number, Role.USER, str(number), number))
        await asyncio.sleep(0)
    await records.finish(EndReason.AGENT_ENDED, duration_ms=1)
    await running
    assert [entry.content for entry in agent.told[:-1]] == ["1", "2", "3"]
    assert isinstance(agent.told[-1], CallSummary)
    assert caplog.text.count("a message was dropped") == 2
    assert caplog.text.count("on_message failed: TimeoutError") == 3


@pytest.mark.asyncio
async def test_the_end_of_a_call_waits_only_a_moment_for_the_code(opened, monkeypatch):
    monkeypatch.setattr(telling, "LAST_WORDS_MS", 10)
    go = asyncio.Event()

    class Slow(Listening):
        async def on_end(self, summary):
            await go.wait()
            await super().on_end(summary)

    agent = Slow()
    code = opened(agent)
    running = asyncio.get_running_loop().create_task(code.run())
    await asyncio.sleep(0)
    await code.records(MemoryRecords()).finish(EndReason.RESTARTED, duration_ms=1)
    assert agent.told == []
    go.set()
    await running
    assert len(agent.told) == 1


@pytest.mark.asyncio
async def test_the_end_waits_for_nobody_when_nobody_listens(opened):
    code = opened(Listening())
    async with asyncio.timeout(1):
        await code.records(MemoryRecords()).finish(EndReason.ERROR, duration_ms=1)


@pytest.mark.asyncio
@pytest.mark.parametrize("wanted", [True, False])
async def test_the_debug_log_has_figures_and_no_words(opened, caplog, wanted):
    agent = Listening()
    agent.debug_log = wanted
    records = opened(agent).records(MemoryRecords())
    timings = TurnTimings(speech_stopped_ms=1_000, committed_ms=1_600, first_sent_ms=1_900)
    with caplog.at_level(logging.INFO, "calls.agents"):
        await records.store_item(HI)
        await records.store_turn(Turn(3, timings, heard_ms=400, spoken_ms=900))
        await records.finish(EndReason.AGENT_ENDED, duration_ms=5_000)
    assert caplog.messages == (
        [
            "Call call-1, turn 3: 900 ms to the first sound (endpointing 600, stt 0, llm 0, tts 0, "
            "playout 300, delivery 0); 400 of 900 ms heard; no error.",
            "Call call-1 ended after 5000 ms: agent_ended.",
        ]
        if wanted
        else []
    )
