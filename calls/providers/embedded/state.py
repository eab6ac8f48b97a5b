"""Where a conversation with the scripted agent stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Asked(Enum):
    """What the agent has asked, and the caller may be answering."""

    NOTHING = "nothing"
    OFFER = "offer"
    DAY = "day"
    TIME = "time"
    NAME = "name"
    CONFIRM = "confirm"
    CHANGE = "change"
    MORE = "more"


@dataclass(frozen=True, slots=True)
class State:
    """`day`, `time` (HH:MM) and `name` are of the appointment; `said` is the last reply.

    `misses` counts what was not understood in a row.
    """

    asked: Asked = Asked.NOTHING
    day: str = ""
    time: str = ""
    name: str = ""
    misses: int = 0
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What the agent says and does: sentences, a tool call, the end of the call."""

    sentences: tuple[str, ...] = ()
    tool: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    ends: bool = False


Step = tuple[State, Reply]
