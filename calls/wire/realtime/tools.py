"""Functions that the client answers, as sessions and responses name them."""

from typing import Any

from calls.wire.realtime.reading import Fields
from calls.wire.realtime.refusal import invalid

MOST_TOOLS = 128
_NAME_CHARS = 64

Tools = tuple[dict[str, Any], ...]
"""Objects with `type`, `name`, `description` and `parameters`."""


def read_tools(session: Fields) -> Tools | None:
    """None: nothing is said of them.

    Raises:
        Refusal: one is no function.
    """
    tools = session.objects("tools", most=MOST_TOOLS)
    return None if tools is None else tuple(_tool(tool) for tool in tools)


def _tool(tool: Fields) -> dict[str, Any]:
    if tool.values.get("type", "function") != "function":
        raise invalid(tool.at("type"), "`function`")
    name = tool.required("name", most=_NAME_CHARS)
    if not name:
        raise invalid(tool.at("name"), f"text of 1 to {_NAME_CHARS} characters")
    parameters = tool.plain("parameters")
    described = tool.text("description") or ""
    return {
        "type": "function",
        "name": name,
        "description": described,
        "parameters": parameters or {"type": "object", "properties": {}},
    }


def read_tool_choice(session: Fields, tools: Tools) -> str:
    """Empty as the model likes, "none", "required", or the name of a tool.

    Raises:
        Refusal: it is none of those.
    """
    choice = session.values.get("tool_choice")
    if isinstance(choice, dict):
        chosen = session.inner_or_empty("tool_choice")
        # The beta had the name one level deeper, as chat completions do.
        name = (chosen.inner("function") or chosen).text("name", most=_NAME_CHARS)
    else:
        name = session.text("tool_choice", most=_NAME_CHARS) or "auto"
    if name == "auto":
        return ""
    if name in ("none", "required") or name in {tool["name"] for tool in tools}:
        return name or ""
    raise invalid(session.at("tool_choice"), "`auto`, `none`, `required` or a tool of the session")
