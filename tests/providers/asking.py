"""What tests of language models over HTTP share: a conversation, and how its answer is taken."""

import asyncio

from calls.domain.items import Item, ItemStatus, Role, Source
from calls.ports.speech import Prompt, TextDelta
from calls.ports.tools import ToolSpec
from calls.ports.usage import metered
from calls.providers.openai.address import Server

CALLER = Item(1, Role.USER, "What time is it?", turn=1, source=Source.VOICE)
TOOL = ToolSpec("clock", "Tells the time.", {"type": "object", "properties": {}})
STRICT = ToolSpec(
    "opening_hours",
    "Tells the opening hours of a day.",
    {
        "type": "object",
        "properties": {"day": {"type": "string"}},
        "required": ["day"],
        "additionalProperties": False,
    },
)


def prompt(*items, tools=()):
    return Prompt("Be brief.", items or (CALLER,), tools, "en")


def tool_item(number, call_id, **options):
    about = {"response_id": 3, "source": Source.TOOL, "tool_name": "clock", "arguments": "{}"}
    text = options.pop("text", "")
    return Item(number, Role.TOOL, text, turn=1, tool_call_id=call_id, **(about | options))


def after_an_interruption():
    """Two calls of one answer, of which one still runs, one failed, and words cut off."""
    return (
        CALLER,
        tool_item(2, "a", text="16:00"),
        tool_item(3, "b", status=ItemStatus.IN_PROGRESS),
        tool_item(
            4, "c", status=ItemStatus.FAILED, response_id=4, tool_name="a.b", arguments="[1]"
        ),
        Item(5, Role.AGENT, "It is", turn=1, unheard=" four.", status=ItemStatus.INTERRUPTED),
        tool_item(6, "d", status=ItemStatus.CANCELLED),
        tool_item(7, "a", response_id=7, status=ItemStatus.INTERRUPTED, arguments="{not json"),
        Item(8, Role.USER, "Never mind.", turn=2, status=ItemStatus.CANCELLED),
        Item(9, Role.USER, "Go on.", turn=2),
    )


def server_of(double, profile="generic", provider="compatible"):
    return Server(double.base_url, double.key, provider, profile)


async def answer_of(model, asked=None):
    """All parts of the answer, and the meter that ran."""
    with metered() as meter:
        async with model.answer(asked or prompt()) as parts:
            return [part async for part in parts], meter


async def parts_of(model, asked=None):
    parts, _ = await answer_of(model, asked)
    return parts


def text_of(parts):
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


async def until(met):
    """Wait until it is so, for a second at most."""
    async with asyncio.timeout(1):
        while not met():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)


async def nothing_left(double, before):
    """Every request is over at the other end, and no task is left but those before."""
    await until(lambda: all(asked.over.is_set() for asked in double.asked))
    await until(lambda: not {*filter(_ours, asyncio.all_tasks())} - before)
    assert double.busy == 0


def _ours(task):
    """Not one of the stand-in's, which has a task for every connection that is kept."""
    return getattr(task.get_coro(), "__qualname__", "") != "RequestHandler.start"
