"""What a client wants different of a realtime session, in the provider's words."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from calls.domain.wishes import Wishes
from calls.ports.voice import SessionChange
from calls.providers.openai.realtime.messages import Message
from calls.providers.openai.realtime.settings import (
    RealtimeSettings,
    instructions,
    modalities,
    tool_choice,
    tool_object,
    transcription,
)
from calls.sessions.wishes import tool_of

VOICES = frozenset(
    {"alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse"}
)
"""Of the provider's realtime models; another name was meant for another service."""


def changed(
    settings: RealtimeSettings, change: SessionChange, *, limit: int | None, spoken: bool
) -> RealtimeSettings:
    """The settings with what is wanted different.

    Args:
        limit: of the tokens of an answer, as the agent is set up; a client cannot lift it.
        spoken: the session has made sound, so that its voice is frozen.
    """
    wanted = {
        "system_prompt": change.system_prompt,
        "client_tools": change.tools,
        "tool_choice": change.tool_choice,
        "voice": change.voice if change.voice in VOICES and not spoken else None,
        "speed": change.speed,
        "language": change.language,
        "text_only": change.text_only,
    }
    given: dict[str, Any] = {k: v for k, v in wanted.items() if v is not None}
    if change.max_output_tokens is not None:
        given["max_output_tokens"] = least(limit, change.max_output_tokens)
    return replace(settings, **given)


def updates(old: RealtimeSettings, new: RealtimeSettings) -> tuple[Message, ...]:
    """The events that make the one session the other, with nothing in them that stays.

    Voice and speed go alone: the provider takes them only between answers, and what it refuses
    must not take the rest along.
    """
    before, after = _told(old), _told(new)
    session = {key: value for key, value in after.items() if value != before[key]}
    parts: list[Mapping[str, Any]] = [session] if session else []
    if transcription(old) != transcription(new):
        parts.append({"audio": {"input": {"transcription": transcription(new)}}})
    if old.voice != new.voice:
        parts.append({"audio": {"output": {"voice": new.voice}}})
    if old.pace != new.pace:
        parts.append({"audio": {"output": {"speed": new.pace}}})
    return tuple(
        {"type": "session.update", "session": {"type": "realtime", **part}} for part in parts
    )


def wanted_of(
    settings: RealtimeSettings, wishes: Wishes, *, tools_allowed: bool, after_tools: bool
) -> Message:
    """What an answer with these wishes is asked for beside what the session says.

    Args:
        after_tools: it goes on after its tools, so that none is forced upon the model.
    """
    wanted: dict[str, Any] = {}
    if wishes.instructions is not None:
        wanted["instructions"] = wishes.instructions
    if wishes.text_only is not None:
        wanted["output_modalities"] = modalities(text_only=wishes.text_only)
    if wishes.max_output_tokens is not None:
        limit = least(settings.max_output_tokens, wishes.max_output_tokens)
        wanted["max_output_tokens"] = limit or "inf"
    tools = settings.all_tools
    if wishes.tools is not None:
        tools = tuple(map(tool_of, wishes.tools))
        wanted["tools"] = [tool_object(tool) for tool in tools]
    choice = wishes.tool_choice or settings.tool_choice
    if not tools_allowed:
        wanted["tool_choice"] = "none"
    elif after_tools and choice not in ("", "none"):
        wanted["tool_choice"] = "auto"
    elif wishes.tool_choice:
        wanted["tool_choice"] = tool_choice(wishes.tool_choice, tools)
    return wanted


def least(limit: int | None, wanted: int) -> int | None:
    """The lower of two limits; 0 and None are none."""
    return min((value for value in (limit, wanted) if value), default=None)


def _told(settings: RealtimeSettings) -> dict[str, Any]:
    return {
        "instructions": instructions(settings),
        "output_modalities": modalities(text_only=settings.text_only),
        "tools": [tool_object(tool) for tool in settings.all_tools],
        "tool_choice": tool_choice(settings.tool_choice, settings.all_tools),
        "max_output_tokens": settings.max_output_tokens or "inf",
    }
