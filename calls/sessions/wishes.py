"""What clients wish for an answer, in the words of the services."""

from collections.abc import Mapping
from typing import Any

from calls.ports.tools import ToolSpec


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
