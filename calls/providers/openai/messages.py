"""A conversation and its tools in the words of chat completions."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from calls.domain.items import Item, ItemStatus, Role
from calls.ports.speech import Prompt
from calls.ports.tools import ToolSpec

INTERRUPTED = " [interrupted by the caller]"
"""Tells the model that the rest of its words was never heard."""

GREET = "(The call begins. Greet the caller.)"
GO_ON = "(The caller says nothing. Go on from where you were interrupted.)"
"""Cues for when it is not the caller who spoke last: models answer only what they are asked."""


def chat_messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The prompt as messages, oldest first.

    Calls of one answer stand together, each followed by its result: servers refuse a call
    without one.
    """
    system = [{"role": "system", "content": prompt.system_prompt}] if prompt.system_prompt else []
    said = list(_of_items(prompt.items))
    if said and said[-1]["role"] != "assistant":
        return [*system, *said]
    return [*system, *said, {"role": "user", "content": GO_ON if said else GREET}]


def _of_items(items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    for (role, _), entries in groupby(items, key=_group):
        if role is Role.TOOL:
            calls = list(entries)
            yield {"role": "assistant", "content": None, "tool_calls": [*map(_call, calls)]}
            yield from map(_result, calls)
        else:
            yield from map(_words, entries)


def _group(item: Item) -> tuple[Role, int | None]:
    return item.role, item.response_id if item.role is Role.TOOL else None


def _words(item: Item) -> dict[str, Any]:
    if item.role is Role.USER:
        return {"role": "user", "content": item.text}
    cut = item.status is ItemStatus.INTERRUPTED
    return {"role": "assistant", "content": item.text + (INTERRUPTED if cut else "")}


def _call(item: Item) -> dict[str, Any]:
    function = {"name": item.tool_name, "arguments": item.arguments or "{}"}
    return {"id": item.tool_call_id, "type": "function", "function": function}


def _result(item: Item) -> dict[str, Any]:
    running = item.status is ItemStatus.IN_PROGRESS
    nothing = {"status": "still running"} if running else {"error": "The tool gave no result."}
    content = item.text or json.dumps(nothing)
    return {"role": "tool", "tool_call_id": item.tool_call_id, "content": content}


def chat_tools(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _function(tool: ToolSpec) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {"name": tool.name, "description": tool.description, "parameters": parameters}
