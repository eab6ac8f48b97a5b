"""The commands, and how each generation of clients has them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from calls.domain.items import Item, ItemStatus
from calls.wire.base import Frame
from calls.wire.fields import storable, without_nan
from calls.wire.micdrop.versions import Version


class Command(Enum):
    """What a client commands."""

    START = "StartSpeaking"
    STOP = "StopSpeaking"
    MUTE = "Mute"


PASCAL: Mapping[str, Command] = {command.value: command for command in Command}
CAMEL: Mapping[str, Command] = {
    name[0].lower() + name[1:]: command for name, command in PASCAL.items()
}

Frames = tuple[Frame, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A generation's names of the server's commands; empty: it has none, and nothing is sent."""

    message: str = "Message"
    user: str = ""
    """Of the caller's words as plain text, before there were messages."""
    assistant: str = ""
    cancel_assistant: str = ""
    cancel_user: str = "CancelLastUserMessage"
    skip: str = "SkipAnswer"
    streaming: str = ""
    end: str = "EndCall"
    tool: str = ""
    partial: str = ""
    classification: str = ""

    # Entries of the conversation

    def of_user(self, text: str, metadata: Mapping[str, Any]) -> Frames:
        return self._entry(self.user, "user", text, metadata)

    def of_assistant(self, text: str, metadata: Mapping[str, Any]) -> Frames:
        return self._entry(self.assistant, "assistant", text, metadata)

    def of_tool_call(self, item: Item) -> Frames:
        fields = {"parameters": _json(_value(item.arguments))}
        return _with_json(self.message, {"role": "tool_call", **_tool(item), **fields})

    def of_tool_result(self, item: Item) -> Frames:
        """The result, and the event that tells the application of it."""
        output = _value(item.text)
        fields = {"output": _json(output)}
        told = {"name": item.tool_name, "parameters": _value(item.arguments), "output": output}
        result = _with_json(self.message, {"role": "tool_result", **_tool(item), **fields})
        return result if item.status is ItemStatus.FAILED else result + _with_json(self.tool, told)

    def so_far(self, text: str) -> Frames:
        return _with_json(self.partial, text)

    def classified(self, result: Mapping[str, Any]) -> Frames:
        return _with_json(self.classification, result)

    # Commands without anything to them

    def skipped(self) -> Frames:
        return (self.skip,) if self.skip else ()

    def user_cancelled(self) -> Frames:
        return (self.cancel_user,) if self.cancel_user else ()

    def assistant_cancelled(self) -> Frames:
        return (self.cancel_assistant,) if self.cancel_assistant else ()

    def streams(self) -> Frames:
        return (self.streaming,) if self.streaming else ()

    def ended(self) -> Frames:
        return (self.end,)

    def _entry(self, plain: str, role: str, text: str, metadata: Mapping[str, Any]) -> Frames:
        if plain:
            return (f"{plain} {_sendable(text)}",)
        fields: dict[str, Any] = {"role": role, "content": text}
        return _with_json(self.message, fields | ({"metadata": metadata} if metadata else {}))


WORDS: Mapping[Version, Words] = {
    Version.V1_0: Words(
        message="",
        user="userMessage",
        assistant="assistantMessage",
        cancel_assistant="cancelLastAssistantMessage",
        cancel_user="",
        skip="",
        end="endInterview",
    ),
    Version.V1_2: Words(
        message="message",
        cancel_assistant="cancelLastAssistantMessage",
        cancel_user="",
        skip="",
        end="endInterview",
    ),
    Version.V1: Words(
        cancel_assistant="CancelLastAssistantMessage", streaming="EnableSpeakerStreaming"
    ),
    Version.V2: Words(
        tool="ToolCall", partial="PartialAssistantMessage", classification="Classification"
    ),
}


def _tool(item: Item) -> dict[str, Any]:
    return {"toolCallId": item.tool_call_id, "toolName": item.tool_name}


def _value(text: str) -> Any:
    """What the JSON says; text that is none stands for itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _with_json(name: str, value: Any) -> Frames:
    return (f"{name} {_json(value)}",) if name else ()


def _json(value: Any) -> str:
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(without_nan(value), separators=(",", ":"), ensure_ascii=False)
    if storable(text):
        return text
    # Half a surrogate pair, from a model, cannot be sent as UTF-8.
    return text.encode("utf-8", "backslashreplace").decode()


def _sendable(text: str) -> str:
    return text.encode(errors="replace").decode()
