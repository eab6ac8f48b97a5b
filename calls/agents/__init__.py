"""Agents in code: what a project imports to write its own.

`docs/python-api.md` shows how.
"""

from calls.agents.agent import CONFIGURED, VoiceAgent
from calls.agents.live import LiveCall
from calls.agents.messages import CallSummary, Commands, Message, ToolCall
from calls.agents.tools import FunctionTool, tool
from calls.domain.errors import EndReason
from calls.ports.tools import CallInfo, ToolError

__all__ = [
    "CONFIGURED",
    "CallInfo",
    "CallSummary",
    "Commands",
    "EndReason",
    "FunctionTool",
    "LiveCall",
    "Message",
    "ToolCall",
    "ToolError",
    "VoiceAgent",
    "tool",
]
