"""What a change of the session means for the call."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from calls.domain import events as ev
from calls.domain.policy import Policy
from calls.ports.tools import ToolSpec
from calls.ports.voice import SessionChange
from calls.wire.base import HearingChange, Inbound, TurnsMode
from calls.wire.realtime.settings import Settings, Transcription, TurnDetection
from calls.wire.realtime.tools import Tools

SILENCE_MS: Mapping[str, int] = {"low": 1_500, "medium": 900, "auto": 900, "high": 500}
"""Pauses in place of `semantic_vad`: no model here judges whether a sentence is over.

OpenAI waits 8, 4 and 2 seconds at most, and as a rule far less; these lie where its answers come
as a rule. Our own guess.
"""


def silence_ms(turns: TurnDetection) -> int:
    """The pause that ends the caller's turn."""
    return SILENCE_MS[turns.eagerness] if turns.semantic else turns.silence_ms


def policy_for(settings: Settings, policy: Policy) -> Policy:
    """How the call is led, once the client has said how turns are detected."""
    if "turns" not in settings.given:
        return policy
    turns = settings.turns
    if turns is None:
        # A turn that is committed counts, whatever the agent is saying.
        return replace(policy, answers=False, interruptible=True, idle_ms=0)
    return replace(
        policy,
        answers=turns.create_response,
        interruptible=turns.interrupt_response,
        endpoint_silence_ms=silence_ms(turns),
        idle_ms=turns.idle_timeout_ms or 0,
    )


def changes_of(before: Settings, after: Settings, policy: Policy, led: Policy) -> list[Inbound]:
    """What the call is told, in order; `led` is how it is to be led instead of `policy`."""
    inbound: list[Inbound] = []
    if (before.turns is None) is not (after.turns is None):
        inbound.append(TurnsMode(push_to_talk=after.turns is None))
    if led != policy:
        inbound.append(ev.PolicyChanged(policy=led))
    if after.turns is not None and _heard(after.turns) != _heard(before.turns):
        threshold, prefix_ms = _heard(after.turns)
        inbound.append(HearingChange(threshold=threshold, prefix_ms=prefix_ms))
    if (change := _session_change(before, after)) != SessionChange():
        inbound.append(change)
    return inbound


def _heard(turns: TurnDetection | None) -> tuple[float, int]:
    turns = turns or TurnDetection()
    return turns.threshold, turns.prefix_ms


def _session_change(before: Settings, after: Settings) -> SessionChange:
    changed: dict[str, Any] = {
        name: getattr(after, name)
        for name in ("voice", "speed", "text_only", "tool_choice", "max_output_tokens")
        if getattr(after, name) != getattr(before, name) or _newly(name, before, after)
    }
    if after.instructions != before.instructions:
        changed["system_prompt"] = after.instructions
    if after.tools != before.tools:
        changed["tools"] = specs_of(after.tools)
    if _language(after.transcription) != _language(before.transcription):
        changed["language"] = _language(after.transcription)
    return SessionChange(**changed)


def _newly(name: str, before: Settings, after: Settings) -> bool:
    """The default may be said as well: it is not the agent's own voice."""
    return name == "voice" and name in after.given and name not in before.given


def _language(transcription: Transcription | None) -> str | None:
    return None if transcription is None else transcription.language


def specs_of(tools: Tools) -> tuple[ToolSpec, ...]:
    return tuple(ToolSpec(tool["name"], tool["description"], tool["parameters"]) for tool in tools)
