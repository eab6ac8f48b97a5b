"""What the stand-in for OpenAI's language models says: as scripted, or by itself."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class Quirk(Enum):
    """What servers do that only resemble OpenAI's."""

    NO_INDEX = auto()
    """Tool calls come without one, each in one piece."""
    SAME_INDEX = auto()
    """All tool calls have the index 0."""
    NO_ID = auto()
    """Tool calls have none."""
    DICT_ARGUMENTS = auto()
    STOP_WITH_TOOLS = auto()
    """The finish reason is "stop" though tools are called."""
    EMPTY_CHOICES = auto()
    """The first chunk has no choices."""
    NULL_DELTA = auto()
    """The first choice has no delta."""
    IGNORES_STREAM = auto()
    """One JSON body, whatever is asked for."""
    PING = auto()
    """An event without data comes first."""
    COMMENT = auto()
    """A comment comes first."""
    NO_DONE = auto()
    """The end is not marked."""
    NO_FINISH = auto()
    """The stream ends properly, but without a finish reason."""
    REFUSES_THE_UNKNOWN = auto()
    """Status 400 for whatever not every server takes."""


@dataclass(frozen=True)
class Call:
    """A tool call; `arguments` as JSON, or whatever the model wrote instead."""

    name: str
    arguments: str = "{}"
    call_id: str = ""


@dataclass(frozen=True)
class Reply:
    """How to answer one request.

    Attributes:
        parts: pieces of text, and tool calls, in order.
        thinking: sent first, in the fields that servers have for it.
        refusal: said in place of text.
        finish: the finish reason; empty: what the parts call for.
        deltas: of chat completions: sent as they are in place of everything above.
        body: answered at once with status 200, in place of everything above.
    """

    parts: Sequence[str | Call] = ()
    thinking: str = ""
    refusal: str = ""
    finish: str = ""
    deltas: Sequence[Mapping[str, Any]] | None = None
    body: Any = None

    @property
    def calls(self) -> list[Call]:
        return [part for part in self.parts if isinstance(part, Call)]

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))


def says(*pieces: str, **options: Any) -> Reply:
    return Reply(pieces, **options)


def calls_tool(name: str, arguments: str | Mapping[str, Any] = "{}", call_id: str = "") -> Reply:
    """One call; calls of one answer are put together as `Reply([Call(…), Call(…)])`."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return Reply([Call(name, written, call_id)])


def raw(*deltas: Mapping[str, Any], finish: str = "stop") -> Reply:
    """Chunks of chat completions with these deltas."""
    return Reply(deltas=deltas, finish=finish)


# By itself

_TOOL_WORDS = ("book", "hours", "open")


@dataclass(frozen=True)
class Asked:
    """A request as far as an answer needs it, whichever endpoint it came by.

    Attributes:
        said: the caller's last words.
        result: of the tool that ran last; None: no result is waiting for words.
        tools: name, description and parameters of each.
    """

    said: str = ""
    result: str | None = None
    tools: Sequence[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)


def own_reply(asked: Asked) -> Reply:
    """A short answer that mentions what was asked; a tool is called where one fits."""
    if asked.result is not None:
        return says(*_pieces(f"Here is what I found: {asked.result}"))
    if (call := _fitting(asked)) is not None:
        return Reply([call])
    if not asked.said or asked.said.startswith("("):
        return says(*_pieces("Hello. How can I help you?"))
    return says(*_pieces(f"You said: {asked.said.rstrip('.?!')}. I can help you with that."))


def _pieces(text: str) -> Iterator[str]:
    words = text.split(" ")
    yield from (f"{word} " for word in words[:-1])
    yield words[-1]


def _fitting(asked: Asked) -> Call | None:
    for word in (w for w in _TOOL_WORDS if w in asked.said.lower()):
        for name, description, parameters in asked.tools:
            if word in f"{name} {description}".lower():
                return Call(name, json.dumps(sample(parameters, asked.said)))
    return None


def sample(schema: Mapping[str, Any], said: str) -> Any:
    """A value that fits the schema; a text is what the caller said."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            needed = schema.get("required", ())
            return {name: sample(fields.get(name, {}), said) for name in needed}
        case "array":
            return []
        case "boolean":
            return True
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
    return {"date": "2026-12-01", "time": "10:00"}.get(schema.get("format", ""), said)
