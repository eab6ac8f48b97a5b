"""The conversation: what was said and done, entry by entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    USER = "user"
    AGENT = "agent"
    TOOL = "tool"
    SYSTEM = "system"
    """Instructions to the model that a client gave in the course of the call."""


class ItemStatus(StrEnum):
    IN_PROGRESS = "in_progress"
    """The agent's words on their way to the ear, or a tool that runs."""
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    """Cut off: `text` is what was heard, `unheard` the rest."""
    CANCELLED = "cancelled"
    """Taken back; kept on the record, not in the conversation that the model sees."""
    FAILED = "failed"


class Source(StrEnum):
    """How an entry came to be."""

    VOICE = "voice"
    TEXT = "text"
    MODEL = "model"
    FIXED = "fixed"
    """Words from the agent's settings: greeting, apology, farewell."""
    TOOL = "tool"
    STAFF = "staff"
    KEYPAD = "keypad"
    CLIENT = "client"
    """Put into the conversation by the client, not spoken."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a word lies in sound: `text[:end_char]` has been said at `at_ms`."""

    end_char: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the conversation. Items are replaced, never changed.

    `item_id` counts from 1 within the call and orders the conversation. Times are milliseconds
    since the call began; `started_ms`..`ended_ms` is where the words lie in the recording.
    """

    item_id: int
    role: Role
    text: str
    turn: int
    status: ItemStatus = ItemStatus.COMPLETE
    source: Source = Source.MODEL
    unheard: str = ""
    started_ms: int = 0
    ended_ms: int | None = None
    response_id: int | None = None
    marks: tuple[Mark, ...] = ()
    tool_call_id: str = ""
    tool_name: str = ""
    arguments: str = ""
    """Of a tool call: JSON as the model wrote it. Its result is `text`."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    ref: str = ""
    """The client's own name for it; of entries that it gave."""
    revision: int = 0
    """Counts the changes of this item; a record never goes back to a lower one."""
