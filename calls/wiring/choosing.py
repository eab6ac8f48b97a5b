"""The services of a call: what its agent asks for, of what the installation has."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from calls.domain.errors import CallError, ErrorCode
from calls.domain.events import Stage
from calls.models.providers import CASCADE, EMBEDDED
from calls.ports.speech import Services
from calls.providers.choice.language_model import ChosenModel
from calls.providers.choice.speech_to_text import ChosenEars
from calls.providers.choice.text_to_speech import ChosenVoice, Voiced
from calls.store.agents import AgentSettings
from calls.wiring.offers import Offer, Wanted, chosen
from calls.wiring.shared import CLOCK, breakers

logger = logging.getLogger(__name__)

_STAGES = {Stage.STT: "Speech to text", Stage.LLM: "A language model", Stage.TTS: "A voice"}


def services(agent: AgentSettings, own: frozenset[Stage] = frozenset()) -> Services:
    """The services that the agent's settings name, for one call.

    Args:
        own: stages that the agent's code serves; what stands for them here is not used.

    Raises:
        CallError: for one of the other stages nothing is set up.
    """
    choice: dict[str, Any] = {f"{stage.value}_provider": EMBEDDED for stage in own}
    asked = replace(agent, **choice) if choice else agent
    return Services(stt=_ears(asked), llm=_mind(asked), tts=_mouth(asked))


def candidates(agent: AgentSettings, stage: Stage) -> list[Offer]:
    """Who serves that stage of the agent's calls, in order."""
    name = stage.value
    first, fallbacks = getattr(agent, f"{name}_provider"), getattr(agent, f"{name}_fallbacks")
    return chosen(stage, first, fallbacks)


def embedded_stages(agent: AgentSettings) -> Iterator[Stage]:
    """The stages that the offline engines serve, as long as nothing fails."""
    if agent.session != CASCADE:
        return
    for stage in (Stage.STT, Stage.LLM, Stage.TTS):
        silent = stage is Stage.TTS and agent.tts_disabled
        serving = candidates(agent, stage)
        if not silent and serving and serving[0].name == EMBEDDED:
            yield stage


def _model(agent: AgentSettings, stage: Stage, offer: Offer, place: int) -> str:
    """The agent's model belongs to its first choice; the others take their own."""
    return offer.model(getattr(agent, f"{stage.value}_model") if place == 0 else "")


def _built(agent: AgentSettings, stage: Stage) -> list[tuple[Any, str]]:
    """The services for that stage, in order, each with its voice.

    Raises:
        CallError: there is none.
    """
    built = []
    for place, offer in enumerate(candidates(agent, stage)):
        voice = voice_of(agent, offer, place)
        wanted = Wanted(
            model=_model(agent, stage, offer, place),
            language=agent.language,
            voice=voice,
            temperature=agent.temperature,
            max_output_tokens=agent.max_output_tokens,
            noise_reduction=agent.noise_reduction,
        )
        try:
            built.append((offer.build(wanted), voice))
        except ValueError as error:
            _complain(agent, stage, f"{offer.name}: {error}")
    if not built:
        _complain(agent, stage, "nothing is set up")
        raise CallError(ErrorCode.INTERNAL, f"{_STAGES[stage]} is not set up for this agent.")
    return built


def _complain(agent: AgentSettings, stage: Stage, why: str) -> None:
    extra = {"agent": agent.slug, "stage": stage.value}
    logger.error("Agent %s, %s: %s", agent.slug, _STAGES[stage].lower(), why, extra=extra)


def _ears(agent: AgentSettings) -> ChosenEars:
    made = [service for service, _ in _built(agent, Stage.STT)]
    return ChosenEars(made, breakers=breakers(), clock=CLOCK)


def _mind(agent: AgentSettings) -> ChosenModel:
    made = [service for service, _ in _built(agent, Stage.LLM)]
    return ChosenModel(made, breakers=breakers(), clock=CLOCK)


def _mouth(agent: AgentSettings) -> ChosenVoice | None:
    if agent.tts_disabled:
        return None
    made = [Voiced(service, voice) for service, voice in _built(agent, Stage.TTS)]
    return ChosenVoice(made, breakers=breakers(), clock=CLOCK)


def voice_of(agent: AgentSettings, offer: Offer, place: int) -> str:
    """The voice that a provider is asked for; a name of one means nothing to another."""
    named = agent.fallback_voices.get(offer.name, "")
    return named or (agent.voice if place == 0 else "")
