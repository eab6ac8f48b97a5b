"""What one answer shall be like, where somebody asks for something else than usual."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Of one answer; None keeps what the session says.

    Attributes:
        instructions: in place of the system prompt.
        text_only: no sound is made.
        tool_choice: "" as the model likes, "none", "required", or the name of one tool.
        tools: in place of the session's, as objects with `name`, `description` and `parameters`
            (a JSON schema); their results come from the client.
        max_output_tokens: 0: no limit.
        metadata: travels with the answer to the client and the record.
    """

    instructions: str | None = None
    text_only: bool | None = None
    tool_choice: str = ""
    tools: tuple[Mapping[str, Any], ...] | None = None
    max_output_tokens: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


AS_USUAL = Wishes()
