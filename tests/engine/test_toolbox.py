"""Tools are foreign code: whatever they do, the model hears of it and the call goes on."""

import asyncio
import json

import pytest

from calls.domain.effects import RunTool
from calls.engine.toolbox import OUTPUT_CHARS, Toolbox
from calls.ports.tools import CallInfo, ToolError, ToolSpec

pytestmark = pytest.mark.asyncio

INFO = CallInfo(call_id="c1", agent="demo", language="en", metadata={"page": "/"})


class Ready:
    """A tool that does what the test says."""

    timeout_ms = 5_000

    def __init__(self, work, name="weather"):
        self.spec = ToolSpec(name, "For tests.")
        self._work = work

    async def run(self, call, arguments):
        return await self._work(call, arguments)


def tool(result=None, *, raises=None, name="weather"):
    async def work(call, arguments):
        if raises is not None:
            raise raises
        return result

    return Ready(work, name)


async def run(tools, name="weather", arguments="{}"):
    return await Toolbox(tools, INFO).run(RunTool("t1", name, arguments))


async def test_a_tool_gets_the_call_and_its_arguments():
    asked = []

    async def work(call, arguments):
        asked.append((call, arguments))
        return "sunny"

    finished = await run([Ready(work)], arguments='{"city": "Bonn"}')
    assert asked == [(INFO, {"city": "Bonn"})]
    assert (finished.tool_call_id, finished.output, finished.failed) == ("t1", "sunny", False)


async def test_no_arguments_are_an_empty_object():
    async def work(call, arguments):
        return json.dumps(arguments)

    assert (await run([Ready(work)], arguments="")).output == "{}"


@pytest.mark.parametrize(
    ("offered", "arguments", "message"),
    [
        pytest.param(tool("x", name="other"), "{}", "no tool named weather", id="unknown"),
        pytest.param(tool("x"), "{", "not valid JSON", id="no JSON"),
        pytest.param(tool("x"), "[" * 60_000, "not valid JSON", id="bottomless"),
        pytest.param(tool("x"), "[1]", "not a JSON object", id="no object"),
        pytest.param(tool(None), "{}", "gave no text", id="nothing"),
        pytest.param(tool({"a": 1}), "{}", "gave no text", id="no text"),
        pytest.param(
            tool(raises=ToolError("Monday is full.")), "{}", "Monday is full", id="refused"
        ),
        pytest.param(tool(raises=KeyError("secret")), "{}", "KeyError", id="raised"),
        pytest.param(tool(raises=asyncio.CancelledError()), "{}", "gave up", id="cancelled itself"),
    ],
)
async def test_every_failure_is_an_output(offered, arguments, message):
    finished = await run([offered], arguments=arguments)
    assert finished.failed
    assert message in json.loads(finished.output)["error"]
    assert "secret" not in finished.output


async def test_a_tool_has_a_deadline():
    freed = asyncio.Event()

    async def work(call, arguments):
        try:
            await asyncio.Event().wait()
        finally:
            freed.set()

    slow = Ready(work)
    slow.timeout_ms = 1
    finished = await run([slow])
    assert finished.failed
    assert "too long" in finished.output
    assert freed.is_set()


async def test_a_call_that_ends_stops_its_tools():
    begun = asyncio.Event()

    async def work(call, arguments):
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.get_running_loop().create_task(run([Ready(work)]))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_result_without_end_is_cut():
    assert len((await run([tool("x" * 90_000)])).output) == OUTPUT_CHARS


async def test_of_two_tools_with_one_name_the_later_counts():
    assert (await run([tool("first"), tool("second")])).output == "second"


async def test_the_model_is_shown_every_tool_once():
    box = Toolbox([tool("a"), tool("b", name="book"), tool("c")], INFO)
    assert [spec.name for spec in box.specs] == ["weather", "book"]
