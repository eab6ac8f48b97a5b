"""A conversation and its tools in the words of chat completions and of Responses."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from calls.domain.items import Item, ItemStatus, Role
from calls.ports.speech import Prompt
from calls.ports.tools import ToolSpec
from calls.providers.openai.profile import fits_strict

INTERRUPTED = " [interrupted by the caller]"
"""Tells the model that the rest of its words was never heard."""

GREET = "(The call begins. Greet the caller.)"
GO_ON = "(The caller says nothing. Go on from where you were interrupted.)"
"""Cues for when it is not the caller who spoke last: models answer only what they are asked."""

_NAME_CHARS = 64


def chat_messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The prompt as messages, oldest first.

    Calls of one answer stand together, each followed by its result: servers refuse a call
    without one, and go on refusing for the rest of the conversation.
    """
    system = [{"role": "system", "content": prompt.system_prompt}] if prompt.system_prompt else []
    items = _kept(prompt.items)
    said: list[dict[str, Any]] = []
    for (role, _), group in groupby(items, key=_group):
        entries = [*group]
        said += _chat_calls(entries) if role is Role.TOOL else map(_words, entries)
    return [*system, *said, *_cue(items)]


def response_items(prompt: Prompt) -> list[dict[str, Any]]:
    """The prompt without its instructions as input items, oldest first; calls have outputs."""
    items = _kept(prompt.items)
    said: list[dict[str, Any]] = []
    for item in items:
        said += _call_and_output(item) if item.role is Role.TOOL else [_words(item)]
    return [*said, *_cue(items)]


def chat_tools(tools: Sequence[ToolSpec], *, strict: bool = False) -> list[dict[str, Any]]:
    """The tools; with `strict`, those whose schema allows it are marked so."""
    return [{"type": "function", "function": _function(tool, strict=strict)} for tool in tools]


def response_tools(tools: Sequence[ToolSpec], *, strict: bool = False) -> list[dict[str, Any]]:
    """The tools as Responses has them: flat, and each says whether it is strict."""
    unsaid = {"type": "function", "strict": False}
    return [unsaid | _function(tool, strict=strict) for tool in tools]


def _kept(items: Sequence[Item]) -> list[Item]:
    """What the model sees. Ids of calls are made unique: some servers count anew in each answer."""
    kept, seen = [], {""}
    for item in items:
        if item.status is ItemStatus.CANCELLED:
            continue
        if item.role is Role.TOOL and item.tool_call_id in seen:
            call_id = f"{item.tool_call_id or 'call'}_{item.item_id}"
            kept.append(replace(item, tool_call_id=call_id))
        else:
            kept.append(item)
        seen.add(item.tool_call_id)
    return kept


def _cue(items: Sequence[Item]) -> list[dict[str, Any]]:
    if items and items[-1].role is not Role.AGENT:
        return []
    return [{"role": "user", "content": GO_ON if items else GREET}]


def _group(item: Item) -> tuple[Role, int | None]:
    return item.role, item.response_id if item.role is Role.TOOL else None


def _words(item: Item) -> dict[str, Any]:
    if item.role is Role.USER:
        return {"role": "user", "content": item.text}
    if item.role is Role.SYSTEM:
        return {"role": "system", "content": item.text}
    cut = item.status is ItemStatus.INTERRUPTED
    return {"role": "assistant", "content": item.text + (INTERRUPTED if cut else "")}


def _chat_calls(items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": None, "tool_calls": [*map(_chat_call, items)]}
    for item in items:
        yield {"role": "tool", "tool_call_id": item.tool_call_id, "content": _result(item)}


def _chat_call(item: Item) -> dict[str, Any]:
    function = {"name": _name(item), "arguments": _arguments(item)}
    return {"id": item.tool_call_id, "type": "function", "function": function}


def _call_and_output(item: Item) -> list[dict[str, Any]]:
    called = {"call_id": item.tool_call_id}
    function = {"name": _name(item), "arguments": _arguments(item)}
    return [
        {"type": "function_call", **called, **function},
        {"type": "function_call_output", **called, "output": _result(item)},
    ]


def _name(item: Item) -> str:
    """The name, also one that a model made up, in letters that servers take back."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", item.tool_name)[:_NAME_CHARS] or "unknown"


def _arguments(item: Item) -> str:
    """What the model wrote if it is an object: some servers fail on anything else."""
    try:
        value = json.loads(item.arguments)
    except (ValueError, RecursionError):
        return "{}"
    return item.arguments if isinstance(value, dict) else "{}"


def _result(item: Item) -> str:
    if item.text:
        return item.text
    running = item.status is ItemStatus.IN_PROGRESS
    nothing = {"status": "still running"} if running else {"error": "The tool gave no result."}
    return json.dumps(nothing)


def _function(tool: ToolSpec, *, strict: bool) -> dict[str, Any]:
    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return function | ({"strict": True} if strict and fits_strict(parameters) else {})
