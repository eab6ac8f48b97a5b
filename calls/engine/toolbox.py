"""Running tools for a call: looked up, checked, under a deadline, never raising."""

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from calls.domain.effects import RunTool
from calls.domain.events import ToolFinished
from calls.ports.tools import CallInfo, Tool, ToolError, ToolSpec

logger = logging.getLogger(__name__)

OUTPUT_CHARS = 20_000
"""A longer result is cut: it would not fit the model's window, nor a person's patience."""


class Toolbox:
    """The tools of one call.

    Args:
        tools: by the name in their `spec`; of two with one name the later counts.
        call: the call they run for.
    """

    def __init__(self, tools: Iterable[Tool], call: CallInfo) -> None:
        self._tools = {tool.spec.name: tool for tool in tools}
        self._call = call

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(tool.spec for tool in self._tools.values())

    async def run(self, order: RunTool) -> ToolFinished:
        """Run it; every failure is an output that tells the model what went wrong."""
        try:
            output = await self._run(order)
        except ToolError as fault:
            return _failed(order, str(fault))
        except asyncio.CancelledError:
            if _cancelled_from_outside():
                raise
            return _failed(order, "The tool gave up.")
        except Exception as error:  # noqa: BLE001 - a tool is foreign code
            logger.warning(
                "tool failed",
                extra={"call_id": self._call.call_id, "tool": order.name, "error": _kind(error)},
            )
            return _failed(order, f"The tool failed ({_kind(error)}).")
        return ToolFinished(tool_call_id=order.tool_call_id, output=output[:OUTPUT_CHARS])

    async def _run(self, order: RunTool) -> str:
        tool = self._tools.get(order.name)
        if tool is None:
            raise ToolError(f"There is no tool named {order.name}.")
        arguments = _arguments(order.arguments)
        try:
            async with asyncio.timeout(tool.timeout_ms / 1000):
                output = await tool.run(self._call, arguments)
        except TimeoutError:
            raise ToolError("The tool took too long.") from None
        if not isinstance(output, str):
            raise ToolError("The tool gave no text.")
        return output


def _arguments(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise ToolError("The arguments are not valid JSON.") from None
    if not isinstance(value, dict):
        raise ToolError("The arguments are not a JSON object.")
    return value


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _kind(error: Exception) -> str:
    return type(error).__name__


def _failed(order: RunTool, message: str) -> ToolFinished:
    output = json.dumps({"error": message})
    return ToolFinished(tool_call_id=order.tool_call_id, output=output, failed=True)
