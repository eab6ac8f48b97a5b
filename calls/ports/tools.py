"""What an agent can do beside talking."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a language model sees it; `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallInfo:
    """The call that a tool or an agent's code runs for."""

    call_id: str
    agent: str
    language: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


class ToolError(Exception):
    """What a tool tells the model instead of a result: why it could not do what was asked."""


class Tool(Protocol):
    spec: ToolSpec
    timeout_ms: int

    async def run(self, call: CallInfo, arguments: Mapping[str, Any]) -> str:
        """Do it and say what came of it, as text or JSON for the model.

        Raises:
            ToolError: its text is told to the model. Of any other exception only the type is.
        """
        ...
