"""Tool calls in whole calls: OpenAI refuses a conversation in which one lacks its result."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus, Role
from calls.ports.tools import CallInfo, ToolError, ToolSpec
from tests.doubles.providers.base import Fault
from tests.doubles.providers.openai_answers import Call as Calls
from tests.doubles.providers.openai_answers import Reply
from tests.doubles.providers.openai_http import says
from tests.faults.bench import Call, calling, cascade
from tests.faults.leaks import nothing_left
from tests.faults.providers import CHAT, RESPONSES, SPARE_TEXT, Provider

pytestmark = pytest.mark.usefixtures("fast")

MODELS = pytest.mark.parametrize("provider", [CHAT, RESPONSES], ids=lambda p: p.title)
BOTH = Reply([Calls("look_up", '{"what": "hours"}', "call_1"), Calls("book", "{broken", "call_2")])


class SlowTool:
    """Works until it may end."""

    timeout_ms = 10_000

    def __init__(self, name: str, *, fails: bool = False) -> None:
        self.spec = ToolSpec(name, f"To {name}.", {"type": "object", "properties": {}})
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self._fails = fails

    async def run(self, call: CallInfo, arguments: Mapping[str, Any]) -> str:
        self.begun.set()
        await self.may_end.wait()
        if self._fails:
            raise ToolError("That cannot be done.")
        return "All day."


def tools() -> tuple[SlowTool, SlowTool]:
    return SlowTool("look_up"), SlowTool("book", fails=True)


def refused(call: Call) -> list[str]:
    """What became of requests that were neither answered nor given up."""
    return [use.outcome for use in call.uses("llm") if use.outcome not in ("ok", "cancelled")]


def results(double: Any) -> list[tuple[str, str]]:
    """The tool results that the newest request brought along: call id and text."""
    body = double.asked[-1].body
    if "messages" in body:
        said = [m for m in body["messages"] if m["role"] == "tool"]
        return [(m["tool_call_id"], m["content"]) for m in said]
    said = [entry for entry in body["input"] if entry.get("type") == "function_call_output"]
    return [(entry["call_id"], entry["output"]) for entry in said]


@MODELS
@pytest.mark.asyncio
async def test_every_call_is_answered_before_the_next_request(provider: Provider) -> None:
    double, used = provider.double(), tools()
    double.answers.appendleft(BOTH)
    async with nothing_left(double):
        await provider.ready(double)
        session = cascade(llm=[provider.build(double)], tools=used)
        async with calling(session, tools=used) as call:
            for tool in used:
                tool.may_end.set()
            await call.says_something()
            await call.says_something()
            assert await call.hangs_up() is EndReason.CALLER_HUNG_UP
    assert refused(call) == []
    assert [call_id for call_id, _ in results(double)] == ["call_1", "call_2"]
    ran = [item for item in call.records.items.values() if item.role is Role.TOOL]
    assert [item.status for item in ran] == [ItemStatus.COMPLETE, ItemStatus.FAILED]


@MODELS
@pytest.mark.asyncio
async def test_who_interrupts_tools_is_answered_with_their_results(provider: Provider) -> None:
    double, used = provider.double(), tools()
    double.answers.appendleft(
        Reply([Calls("look_up", "{}", "call_1"), Calls("book", "{}", "call_2")])
    )
    async with nothing_left(double):
        await provider.ready(double)
        session = cascade(llm=[provider.build(double)], tools=used)
        async with calling(session, tools=used) as call:
            await call.asks()
            await call.until(lambda: used[0].begun.is_set() and used[1].begun.is_set())
            used[0].may_end.set()
            await call.begins_to_speak()
            call.microphone.is_silent()
            used[1].may_end.set()
            await call.until(call.quiet)
            await call.says_something()
            assert await call.hangs_up() is EndReason.CALLER_HUNG_UP
    assert refused(call) == []
    assert [call_id for call_id, _ in results(double)] == ["call_1", "call_2"]
    assert dict(results(double))["call_1"] == "All day."


@MODELS
@pytest.mark.asyncio
async def test_who_interrupts_the_words_before_a_tool_call_leaves_no_call_behind(
    provider: Provider,
) -> None:
    double, used = provider.double(), tools()
    double.answers.appendleft(Reply(["Let me look. ", Calls("look_up", "{}", "call_1")]))
    after = 2 if provider is CHAT else 5
    async with nothing_left(double):
        await provider.ready(double)
        double.fail(provider.path, Fault(after=after, stall=True))
        session = cascade(llm=[provider.build(double), provider.spare()], tools=used)
        async with calling(session, tools=used) as call:
            await call.asks()
            await call.until(lambda: double.asked and double.asked[0].sent == after)
            await call.begins_to_speak()
            call.microphone.is_silent()
            await call.until(call.quiet)
            assert await call.hangs_up() is EndReason.CALLER_HUNG_UP
    assert refused(call) == []
    assert not used[0].begun.is_set()


@MODELS
@pytest.mark.asyncio
async def test_the_next_in_line_goes_on_with_results_of_the_first(provider: Provider) -> None:
    double, used, spare = provider.double(), tools(), provider.spare()
    double.answers.appendleft(BOTH)
    double.answers.insert(1, says("Never said."))
    async with nothing_left(double):
        await provider.ready(double)
        down = Fault(status=500, body="no")
        double.fail(provider.path, Fault(after=-1), down, down)
        session = cascade(llm=[provider.build(double), spare], tools=used)
        async with calling(session, tools=used) as call:
            for tool in used:
                tool.may_end.set()
            noticed = await call.says_something()
            await call.hangs_up()
    assert noticed.words == SPARE_TEXT
    told = [item.text for item in spare.asked[0].items if item.role is Role.TOOL]
    assert told[0] == "All day."
    assert [use.outcome for use in call.uses("llm")] == ["ok", "unavailable", "unavailable", "ok"]
