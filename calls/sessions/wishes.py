"""What clients wish for an answer, in the words of the services."""

from collections.abc import Mapping, Sequence
from typing import Any

from calls.domain.items import Item, Role
from calls.ports.tools import ToolSpec


def after_tools(items: Sequence[Item]) -> bool:
    """Whether the answer goes on after its tools: then none is forced upon the model any more.

    Else it would call them for ever.
    """
    return bool(items) and items[-1].role is Role.TOOL


def tool_of(wished: Mapping[str, Any]) -> ToolSpec:
    """The tool that a client describes for one answer."""
    parameters = wished.get("parameters")
    return ToolSpec(
        str(wished.get("name") or ""),
        str(wished.get("description") or ""),
        dict(parameters) if isinstance(parameters, Mapping) else {},
    )


def object_of(tool: ToolSpec) -> Mapping[str, Any]:
    """The same the other way round."""
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
