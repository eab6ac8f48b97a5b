"""What agents in code read and write: messages, commands, requests for tools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Role

MessageRole = Literal["system", "user", "assistant", "tool"]

_ROLES: Mapping[Role, MessageRole] = {
    Role.USER: "user",
    Role.AGENT: "assistant",
    Role.TOOL: "tool",
    Role.SYSTEM: "system",
}


@dataclass(frozen=True, slots=True)
class Commands:
    """What an answer orders beside its words.

    Attributes:
        end_call: end the call once the answer was heard.
        cancel_last_user_message: the caller's last words were none: take them out of the
            conversation. The record keeps them, marked as cancelled.
        skip_answer: say nothing and listen again.
    """

    end_call: bool = False
    cancel_last_user_message: bool = False
    skip_answer: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a conversation.

    Attributes:
        role: "system", "user", "assistant", or "tool" for the result of a tool.
        content: what was said. Of the assistant: what the caller heard of it.
        metadata: travels with an answer to the client and the record; must survive JSON. Of a
            tool's result: `tool_call_id`, `name`, `arguments` (JSON as text) and `failed`.
        commands: only in what `generate_answer` gives.
        unheard: only of the assistant: what it wanted to say when it was interrupted.
    """

    role: MessageRole
    content: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    commands: Commands | None = None
    unheard: str = ""

    def as_dict(self) -> dict[str, str]:
        """`role` and `content`, as language models take them."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """In what `generate_answer` gives: run this tool, then ask for an answer again.

    The conversation of the next `generate_answer` ends with the tool's result.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallSummary:
    """What `on_end` is told.

    `conversation` is what the model would see if the call went on, without the system prompt.
    """

    conversation: tuple[Message, ...]
    duration_ms: int
    reason: EndReason
    call_id: str


def message_of(item: Item) -> Message:
    """An item of the conversation, as agents in code see it."""
    return Message(_ROLES[item.role], item.text, _metadata(item), unheard=item.unheard)


def messages_of(items: Sequence[Item]) -> list[Message]:
    return [message_of(item) for item in items]


def _metadata(item: Item) -> Mapping[str, Any]:
    if item.role is not Role.TOOL:
        return item.metadata
    return {
        "tool_call_id": item.tool_call_id,
        "name": item.tool_name,
        "arguments": item.arguments,
        "failed": item.status is ItemStatus.FAILED,
    }
