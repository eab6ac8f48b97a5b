"""What an agent's class says for itself, and what it leaves to the settings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

from calls.agents import CONFIGURED, VoiceAgent
from calls.domain.events import Stage
from calls.domain.policy import Policy

_METHODS: Mapping[Stage, str] = {
    Stage.STT: "speech_to_text",
    Stage.LLM: "generate_answer",
    Stage.TTS: "text_to_speech",
}


class AgentFields(Protocol):
    """The settings of an agent that its code may replace."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def policy(self) -> Policy: ...


Fields = TypeVar("Fields", bound=AgentFields)


def overrides(agent: VoiceAgent | type[VoiceAgent], method: str) -> bool:
    """Whether the agent has this method of its own."""
    own = getattr(agent, method)
    return getattr(own, "__func__", own) is not getattr(VoiceAgent, method)


def replaced_stages(agent: VoiceAgent | type[VoiceAgent]) -> frozenset[Stage]:
    """The stages that the agent's code does itself."""
    return frozenset(stage for stage, method in _METHODS.items() if overrides(agent, method))


def policy_with(agent: VoiceAgent, policy: Policy) -> Policy:
    """The policy, with the first message that the agent wants."""
    wanted = agent.first_message
    if wanted is CONFIGURED:
        return policy
    return replace(policy, first_message=wanted or None, generate_first=wanted is None)


def settings_with(agent: VoiceAgent, settings: Fields) -> Fields:
    """An agent's settings, with everything that its code says for itself.

    Args:
        settings: a dataclass with `system_prompt`, `language`, `voice`, `tts_disabled`, `policy`.
    """
    said = {
        "system_prompt": agent.system_prompt,
        "language": agent.language,
        "voice": agent.voice,
        "tts_disabled": agent.disable_tts,
        "policy": policy_with(agent, settings.policy),
    }
    return replace(settings, **{name: value for name, value in said.items() if value is not None})
