"""Functions as tools: what the model is told, what it may send, what it hears back."""

import asyncio
import json
from typing import Annotated, Any, Literal, Optional, Union

import pytest

from calls.agents import CallInfo, FunctionTool, LiveCall, ToolError, VoiceAgent, tool
from calls.domain.effects import RunTool
from calls.engine.toolbox import Toolbox
from calls.providers.code.loading import tools_of
from calls.providers.code.session import CodeAgent

Day = Literal["monday", "tuesday"]
NO_JSON = object()


@tool
def book(
    call: CallInfo,
    name: Annotated[str, "Full name"],
    day: Day,
    guests: int = 2,
    price: float = 1.5,
    outside: bool = False,
    wishes: list[str] | None = None,
    extra: Optional[dict] = None,  # noqa: UP045 - the older spelling is known as well
) -> str:
    """Book a table.

    One booking a call.
    """
    return f"{call.call_id}: {name} {day} {guests} {price} {outside} {wishes} {extra}"


def test_the_model_is_told_what_the_function_takes():
    assert book.spec.name == "book"
    assert book.spec.description == "Book a table.\n\nOne booking a call."
    assert book.spec.parameters == {
        "type": "object",
        "required": ["name", "day"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "description": "Full name"},
            "day": {"enum": ["monday", "tuesday"]},
            "guests": {"type": "integer", "default": 2},
            "price": {"type": "number", "default": 1.5},
            "outside": {"type": "boolean", "default": False},
            "wishes": {
                "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
                "default": None,
            },
            "extra": {"anyOf": [{"type": "object"}, {"type": "null"}], "default": None},
        },
    }
    json.dumps(book.spec.parameters)


@pytest.mark.asyncio
async def test_arguments_arrive_as_the_function_wants_them(info):
    arguments = {"name": "Ada", "day": "monday", "guests": 3.0, "price": 2, "wishes": ["window"]}
    said = await book.run(info, arguments)
    assert said == "call-1: Ada monday 3 2.0 False ['window'] None"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"day": "monday"}, "name is missing"),
        ({"name": "Ada", "day": "sunday"}, "day must be one of: monday, tuesday"),
        ({"name": 1, "day": "monday"}, "name must be text"),
        ({"name": "Ada", "day": "monday", "guests": "3"}, "guests must be a whole number"),
        ({"name": "Ada", "day": "monday", "guests": True}, "guests must be a whole number"),
        ({"name": "Ada", "day": "monday", "guests": 2.5}, "guests must be a whole number"),
        ({"name": "Ada", "day": "monday", "price": "1"}, "price must be a number"),
        ({"name": "Ada", "day": "monday", "price": False}, "price must be a number"),
        ({"name": "Ada", "day": "monday", "outside": 1}, "outside must be true or false"),
        (
            {"name": "Ada", "day": "monday", "wishes": ["a", 1]},
            "wishes must be a list of which every entry must be text",
        ),
        ({"name": "Ada", "day": "monday", "wishes": "a"}, "wishes must be a list"),
        ({"name": "Ada", "day": "monday", "extra": []}, "extra must be an object"),
        ({"name": "Ada", "day": "monday", "call": "x"}, "there is no call"),
        ({}, "name is missing; day is missing"),
    ],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model(info, arguments, fault):
    with pytest.raises(ToolError) as caught:
        await book.run(info, arguments)
    assert str(caught.value) == f"The arguments do not fit: {fault}."


@pytest.mark.parametrize(
    ("choices", "value", "fits"),
    [
        (Literal[1, 2], 1, True),
        (Literal[1, 2], True, False),
        (Literal[True], True, True),
        (Literal[True], 1, False),
        (Literal["a"], ["a"], False),
    ],
)
def test_choices_are_told_apart_by_their_kind(choices, value, fits):
    @tool
    def choose(one: choices):
        """Choose."""

    if fits:
        assert choose._shape.read({"one": value}) == {"one": value}
    else:
        with pytest.raises(ToolError):
            choose._shape.read({"one": value})


def _undocumented(a: int): ...


def _without_annotation(a):
    """Do it."""


def _any_number(*numbers: int):
    """Do it."""


def _positional(number: int, /):
    """Do it."""


def _strange(when: bytes):
    """Do it."""


def _union(when: Union[int, str]):  # noqa: UP007 - the older spelling is known as well
    """Do it."""


def _float_choice(when: Literal[b"x"]):
    """Do it."""


def _unknown(when: "Nowhere"):  # noqa: F821 - that is the point
    """Do it."""


def _default(when: Any = NO_JSON):
    """Do it."""


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (_undocumented, "tool _undocumented: its docstring must say what it does"),
        (_without_annotation, "tool _without_annotation, parameter a: has no annotation"),
        (_any_number, "tool _any_number, parameter numbers: has to be a parameter with a name"),
        (_positional, "tool _positional, parameter number: has to be a parameter with a name"),
        (_strange, "tool _strange, parameter when: .*bytes.* is not an annotation"),
        (_union, "tool _union, parameter when: .*of unions, tools know only those with None"),
        (_float_choice, "tool _float_choice, parameter when: a Literal of a tool holds"),
        (_unknown, "tool _unknown: name 'Nowhere' is not defined"),
        (_default, "tool _default, parameter when: its default does not survive JSON"),
    ],
)
def test_a_function_that_cannot_be_described_is_refused_where_it_is_written(function, complaint):
    with pytest.raises(TypeError, match=complaint):
        tool(function)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("result", "told"),
    [("Booked.", "Booked."), (None, "Done."), ({"a": [1, "é"]}, '{"a": [1, "é"]}'), (7, "7")],
)
async def test_results_become_text(info, result, told):
    @tool(name="renamed", timeout_ms=50)
    async def do():
        """Do it."""
        return result

    assert (do.spec.name, do.timeout_ms) == ("renamed", 50)
    assert await do.run(info, {}) == told


def test_a_tool_is_still_a_function():
    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    assert add(1, b=2) == 3
    assert add.__doc__ == "Add."


class Counting(VoiceAgent):
    def __init__(self):
        self.count = 0

    @tool
    def increase(self, live: LiveCall, by: int = 1) -> str:
        """Count on."""
        self.count += by
        return f"{live.call_id} {self.count}"

    tools = (book,)


class CountingMore(Counting):
    @tool
    async def decrease(self) -> str:
        """Count back."""
        self.count -= 1
        return str(self.count)


@pytest.mark.asyncio
async def test_methods_are_tools_of_their_own_call(info):
    one, other = CountingMore(), CountingMore()
    loop = asyncio.get_running_loop()
    one.call = LiveCall(info, loop)
    other.call = LiveCall(CallInfo("call-2", "booking", "en"), loop)
    tools = {t.spec.name: t for t in tools_of(one)}
    assert list(tools) == ["increase", "decrease", "book"]
    assert tools["increase"].spec.parameters["properties"] == {
        "by": {"type": "integer", "default": 1}
    }
    assert await tools["increase"].run(info, {"by": 3}) == "call-1 3"
    assert await tools["decrease"].run(info, {}) == "2"
    assert other.count == 0
    assert one.increase(one.call, by=2) == "call-1 4"


@pytest.mark.asyncio
async def test_the_codes_own_tool_counts_where_the_row_has_one_of_that_name(info):
    @tool(name="book")
    def other_book() -> str:
        """Book otherwise."""

    agent = CountingMore()
    agent.call = LiveCall(info, asyncio.get_running_loop())
    tools = CodeAgent(agent).tools_with((other_book,))
    assert [t.spec.name for t in tools] == ["book", "increase", "decrease"]
    assert tools[0].spec == book.spec


@pytest.mark.asyncio
async def test_a_live_call_belongs_to_an_agent_in_code(info):
    @tool
    def hang_up(live: LiveCall) -> None:
        """End the call."""
        live.end()

    with pytest.raises(TypeError, match="agent in code"):
        await hang_up.run(info, {})


def test_a_shared_tool_may_be_a_class_attribute():
    class Sharing(VoiceAgent):
        reserve = book

    assert isinstance(Sharing().reserve, FunctionTool)


@pytest.mark.asyncio
async def test_the_toolbox_tells_the_model_what_the_tool_says_and_no_more(info):
    @tool
    def full(day: str):
        """Book."""
        raise ToolError("That day is full.")

    @tool
    def broken(day: str):
        """Book."""
        raise ValueError(f"secret {day}")

    box = Toolbox((full, broken), info)
    asked = await box.run(RunTool("1", "full", '{"day": "friday"}'))
    assert (json.loads(asked.output), asked.failed) == ({"error": "That day is full."}, True)
    asked = await box.run(RunTool("2", "broken", '{"day": "friday"}'))
    assert json.loads(asked.output) == {"error": "The tool failed (ValueError)."}
    asked = await box.run(RunTool("3", "full", '{"date": "friday"}'))
    told = {"error": "The arguments do not fit: day is missing; there is no date."}
    assert (json.loads(asked.output), asked.failed) == (told, True)
