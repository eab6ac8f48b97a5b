"""A client that leads its call: what it changes, and the tools that it answers itself."""

import json
from dataclasses import replace

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus, Role
from calls.domain.wishes import Wishes
from calls.engine import runner as runner_module
from calls.engine.client_tools import CLIENT_TOOL_MS, CLIENT_TOOLS, ClientTools
from calls.ports.tools import ToolSpec
from calls.ports.voice import SessionChange
from tests.doubles.clock import FakeClock
from tests.doubles.voice import UseTool, Words
from tests.engine.bench import call, policy

pytestmark = pytest.mark.asyncio

WEATHER = SessionChange(tools=(ToolSpec("weather", "What it is like outside."),))


class OwnWeather:
    """A tool of the agent's with the name of one of the client's."""

    spec = ToolSpec("weather", "What we think of the weather.")
    timeout_ms = 1_000

    def __init__(self):
        self.runs = 0

    async def run(self, _call, _arguments):
        self.runs += 1
        return "rain"


def tool_item(bench):
    return next(item for item in bench.records.items.values() if item.role is Role.TOOL)


async def asked_for_weather(bench):
    """The model wants the client's tool; what the client is told of it."""
    client = await bench.attach()
    bench.voice.answers.append([UseTool("weather", '{"city": "Bonn"}')])
    bench.voice.answers.append([Words("It is sunny.")])
    bench.runner.post(ev.TextTyped(text="How is the weather?"))
    await bench.clock.settle()
    return client


async def test_changes_reach_the_session_in_order_with_everything_else():
    async with call() as bench:
        await bench.attach()
        bench.runner.post(ev.TextTyped(text="One."))
        bench.runner.configure(SessionChange(system_prompt="Be brief."))
        await bench.clock.advance(2_000)
        bench.runner.configure(SessionChange(speed=1.2))
        bench.runner.post(ev.TextTyped(text="Two."))
        await bench.clock.settle()
        assert bench.voice.whats() == ["respond", "configure", "configure", "respond"]
        changes = [asked.change for asked in bench.voice.asked if asked.what == "configure"]
        assert changes == [SessionChange(system_prompt="Be brief."), SessionChange(speed=1.2)]


async def test_the_wishes_of_an_answer_reach_the_session():
    async with call() as bench:
        await bench.attach()
        wishes = Wishes(instructions="Whisper.", max_output_tokens=7)
        bench.runner.post(ev.AnswerAsked(wishes=wishes))
        await bench.clock.settle()
        assert [asked.wishes for asked in bench.voice.asked] == [wishes]


async def test_a_tool_of_the_clients_is_answered_by_the_client():
    own = OwnWeather()
    async with call(tools=(own,)) as bench:
        bench.runner.configure(WEATHER)
        client = await asked_for_weather(bench)
        told = [(tool.name, tool.running) for tool in client.of(do.SendTool)]
        assert told == [("weather", True)]
        await bench.clock.advance(CLIENT_TOOL_MS - 1)
        assert len(bench.voice.asked) == 2, "nobody goes on without it"
        bench.runner.post(ev.ToolFinished(tool_call_id="t1", output="sunny"))
        await bench.clock.advance(2_000)
        assert own.runs == 0, "the client's counts"
        assert bench.voice.whats() == ["configure", "respond", "respond"]
        assert (tool_item(bench).text, tool_item(bench).status) == ("sunny", ItemStatus.COMPLETE)
        await bench.clock.advance(CLIENT_TOOL_MS)
        assert tool_item(bench).status is ItemStatus.COMPLETE, "and that is final"


async def test_a_client_that_does_not_answer_is_not_waited_for_for_ever():
    async with call(policy(response_wait_ms=5_000)) as bench:
        bench.runner.configure(WEATHER)
        await asked_for_weather(bench)
        await bench.clock.advance(CLIENT_TOOL_MS)
        item = tool_item(bench)
        assert item.status is ItemStatus.FAILED
        assert json.loads(item.text) == {"error": "The tool took too long."}
        await bench.clock.advance(2_000)
        assert bench.voice.whats() == ["configure", "respond", "respond"]
        bench.runner.post(ev.ToolFinished(tool_call_id="t1", output="sunny"))
        await bench.clock.settle()
        assert tool_item(bench).status is ItemStatus.FAILED, "what comes later changes nothing"


async def test_a_tool_that_nobody_has_is_a_failure_at_once():
    async with call() as bench:
        await asked_for_weather(bench)
        await bench.clock.settle()
        assert tool_item(bench).status is ItemStatus.FAILED


async def test_a_changed_set_of_tools_takes_the_place_of_the_former_one():
    own = OwnWeather()
    async with call(tools=(own,)) as bench:
        bench.runner.configure(WEATHER)
        bench.runner.configure(SessionChange(system_prompt="Be brief."))
        bench.runner.configure(SessionChange(tools=()))
        await asked_for_weather(bench)
        await bench.clock.advance(1_000)
        assert own.runs == 1


async def test_tools_wished_for_one_answer_are_the_clients_for_that_answer():
    own = OwnWeather()
    async with call(tools=(own,)) as bench:
        await bench.attach()
        script = [UseTool("weather")]
        bench.voice.answers.extend([script, [Words("Sunny.")], [UseTool("weather", "{}", "t2")]])
        wishes = Wishes(tools=({"name": "weather"},))
        bench.runner.expect_client_tools(["weather"])
        bench.runner.post(ev.AnswerAsked(wishes=wishes))
        await bench.clock.advance(1_000)
        assert own.runs == 0
        bench.runner.post(ev.ToolFinished(tool_call_id="t1", output="sunny"))
        await bench.clock.advance(3_000)
        bench.runner.post(ev.TextTyped(text="And now?"))
        await bench.clock.advance(1_000)
        assert own.runs == 1, "the next answer has the agent's own again"


async def test_there_is_a_limit_to_the_clients_tools():
    many = tuple(ToolSpec(f"tool_{n}", "") for n in range(CLIENT_TOOLS + 1))
    async with call() as bench:
        bench.runner.configure(SessionChange(tools=many))
        await bench.clock.settle()
        (asked,) = bench.voice.asked
        assert asked.change == SessionChange(tools=many[:CLIENT_TOOLS])
        bench.runner.expect_client_tools(f"more_{n}" for n in range(10**9))


async def test_a_session_that_takes_nothing_loses_changes_and_never_decisions(monkeypatch):
    monkeypatch.setattr(runner_module, "VOICE_JOBS", 3)
    async with call() as bench:
        await bench.attach()
        bench.runner.post(ev.TextTyped(text="One."))
        for n in range(10):
            bench.runner.configure(SessionChange(speed=1.0 + n))
        await bench.clock.settle()
        assert bench.voice.whats() == ["respond", "configure", "configure"]


async def test_nothing_comes_of_what_is_wanted_of_a_call_that_is_over():
    async with call() as bench:
        client = await bench.attach()
        bench.hang_up()
        assert await bench.ended() is EndReason.CALLER_HUNG_UP
        said = len(client.messages)
        for _ in range(3):
            bench.runner.configure(WEATHER)
            bench.runner.expect_client_tools(["weather"])
            bench.runner.ask_aside("a", None, Wishes())
            bench.runner.cancel_aside(None)
            bench.runner.post(ev.ToolFinished(tool_call_id="t1", output=""))
        await bench.clock.advance(CLIENT_TOOL_MS)
        assert bench.voice.asked == []
        assert bench.asides == []
        assert len(client.messages) == said


async def test_a_call_may_end_while_the_client_owes_a_tool():
    async with call() as bench:
        bench.runner.configure(WEATHER)
        await asked_for_weather(bench)
        bench.hang_up()
        await bench.clock.advance(3_000)
        await bench.ended()
        before = replace(bench.runner.state)
        await bench.clock.advance(CLIENT_TOOL_MS)
        assert bench.runner.state == before


async def test_what_was_answered_or_is_over_is_not_waited_for():
    clock, told = FakeClock(), []
    tools = ClientTools(clock, told.append)
    tools.offer(["weather"])
    for number in range(4):
        assert tools.wait_for(do.RunTool(f"t{number}", "weather", "{}"))
    assert not tools.wait_for(do.RunTool("t9", "news", "{}"))
    tools.answered("t1")
    tools.answered("nobody asked for it")
    await clock.advance(CLIENT_TOOL_MS - 1)
    assert tools.wait_for(do.RunTool("t2", "weather", "{}")), "asked for again"
    await clock.advance(1)
    assert [event.tool_call_id for event in told] == ["t0", "t3"]
    tools.close()
    await clock.advance(2 * CLIENT_TOOL_MS)
    assert len(told) == 2
