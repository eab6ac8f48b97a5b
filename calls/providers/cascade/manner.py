"""How a cascade's agent is and speaks, as it was set up and as its client changes it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from calls.domain.items import Item
from calls.domain.wishes import Wishes
from calls.ports.speech import Prompt
from calls.ports.tools import ToolSpec
from calls.ports.voice import SessionChange
from calls.sessions.wishes import after_tools, tool_of

NO_TOOL = "none"


@dataclass(frozen=True, slots=True)
class Manner:
    """How the agent is and speaks.

    `language` is a BCP 47 tag; `voice` is the synthesiser's own name for a voice, empty for its
    default; `speed` is 1.0 for the voice's normal pace. Of `voices` a client may choose one: only
    who knows the synthesiser can say which it has, so that without any the voice stays.
    `client_tools` count before `tools` of the same name. `tool_choice`, `max_output_tokens` as in
    `SessionChange`.
    """

    system_prompt: str = ""
    tools: tuple[ToolSpec, ...] = ()
    language: str = "en"
    voice: str = ""
    speed: float = 1.0
    voices: frozenset[str] = frozenset()
    client_tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = ""
    text_only: bool = False
    max_output_tokens: int = 0

    def changed(self, change: SessionChange) -> "Manner":
        """The same, with what the client wants different."""
        wanted = {
            "system_prompt": change.system_prompt,
            "client_tools": change.tools,
            "tool_choice": change.tool_choice,
            "voice": change.voice if change.voice in self.voices else None,
            "speed": change.speed,
            "language": change.language,
            "text_only": change.text_only,
            "max_output_tokens": change.max_output_tokens,
        }
        given: Mapping[str, Any] = {k: v for k, v in wanted.items() if v is not None}
        return replace(self, **given)

    def silent(self, wishes: Wishes) -> bool:
        """Whether no sound is made of that answer."""
        return self.text_only if wishes.text_only is None else wishes.text_only

    def prompt(self, items: tuple[Item, ...], wishes: Wishes, *, tools_allowed: bool) -> Prompt:
        """What the model is asked for one answer."""
        choice = wishes.tool_choice or self.tool_choice
        if after_tools(items) and choice != NO_TOOL:
            choice = ""
        limit = wishes.max_output_tokens
        tools = self._tools(wishes) if tools_allowed and choice != NO_TOOL else ()
        return Prompt(
            self.system_prompt if wishes.instructions is None else wishes.instructions,
            items,
            tools,
            self.language,
            tool_choice=_among(choice, tools),
            max_output_tokens=(self.max_output_tokens if limit is None else limit) or None,
        )

    def _tools(self, wishes: Wishes) -> tuple[ToolSpec, ...]:
        if wishes.tools is not None:
            return tuple(map(tool_of, wishes.tools))
        named = {tool.name: tool for tool in (*self.tools, *self.client_tools)}
        return tuple(named.values())


def _among(choice: str, tools: tuple[ToolSpec, ...]) -> str:
    """The choice where there is something to choose from: models refuse what is not offered."""
    if not tools or choice in ("", "auto", NO_TOOL):
        return ""
    return choice if choice == "required" or choice in {tool.name for tool in tools} else ""
