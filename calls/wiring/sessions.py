"""The voice session of a call: a cascade of services, or one model that hears and speaks."""

from typing import Any, cast

from calls.conf import calls_settings
from calls.domain.errors import CallError, ErrorCode
from calls.models.choosing import TurnDetection
from calls.models.providers import CASCADE
from calls.ports.speech import Services, TextToSpeech
from calls.ports.tools import CallInfo, Tool
from calls.ports.voice import VoiceProfile, VoiceSession
from calls.providers.cascade.session import Cascade, Manner
from calls.providers.catalogue import model_default
from calls.store.agents import AgentSettings
from calls.wiring.offers import OPENAI, openai_server
from calls.wiring.shared import CLOCK, speech

REALTIME_VOICE = "marin"
"""Of agents that name none."""


def cascade(
    agent: AgentSettings,
    info: CallInfo,
    services: Services,
    tools: tuple[Tool, ...],
    notice: str,
) -> VoiceSession:
    return Cascade(
        services,
        Manner(
            system_prompt=agent.system_prompt,
            tools=tuple(tool.spec for tool in tools),
            language=info.language,
            voice=agent.voice,
            speed=agent.speed,
            voices=_voices(services.tts),
        ),
        profile=VoiceProfile(
            stt=services.stt.name,
            llm=services.llm.name,
            tts=services.tts.name if services.tts is not None else "",
            notice=notice,
        ),
        clock=CLOCK,
    )


def _voices(tts: TextToSpeech | None) -> frozenset[str]:
    """Those that clients know by name: OpenAI's."""
    if tts is None or not tts.name.startswith(f"{OPENAI}:"):
        return frozenset()
    from calls.providers.openai.realtime.changing import VOICES

    return frozenset(VOICES)


def speech_to_speech(agent: AgentSettings) -> bool:
    """Whether one model hears and speaks for this agent; without a voice none can."""
    return agent.session != CASCADE and not agent.tts_disabled


def realtime_model(agent: AgentSettings) -> str:
    named = agent.realtime_model or calls_settings().models.get(f"{OPENAI}:realtime", "")
    return named or model_default(OPENAI, "realtime")


def realtime(
    agent: AgentSettings, info: CallInfo, tools: tuple[Tool, ...], *, apologises: bool = True
) -> VoiceSession:
    """A session of OpenAI's realtime models.

    Args:
        apologises: while it is down the offline voice speaks; else it cannot be entered then.

    Raises:
        CallError: there is no key for them.
    """
    from calls.providers.openai.realtime.session import RealtimeSession
    from calls.providers.openai.realtime.settings import RealtimeSettings

    if not calls_settings().openai_api_key:
        raise CallError(ErrorCode.INTERNAL, "Speech to speech is not set up for this agent.")
    model = realtime_model(agent)
    transcription = agent.transcription_model or model_default(OPENAI, "transcription")
    name = f"{OPENAI}:{model}"
    return RealtimeSession(
        openai_server(),
        RealtimeSettings(
            model=model,
            system_prompt=agent.system_prompt,
            tools=tuple(tool.spec for tool in tools),
            language=info.language,
            language_instruction=agent.language_instruction,
            voice=agent.voice or REALTIME_VOICE,
            speed=agent.speed,
            temperature=agent.temperature,
            turn_detection=cast(Any, agent.turn_detection),
            vad_threshold=agent.vad_threshold,
            vad_prefix_ms=agent.vad_prefix_ms,
            vad_silence_ms=agent.vad_silence_ms,
            vad_eagerness=cast(Any, agent.vad_eagerness),
            max_output_tokens=agent.max_output_tokens,
            transcription_model=transcription,
            noise_reduction=cast(Any, agent.noise_reduction),
            tracing=agent.tracing,
        ),
        profile=VoiceProfile(
            stt=f"{OPENAI}:{transcription}",
            llm=name,
            tts=name,
            all_audio=agent.turn_detection != TurnDetection.OURS,
        ),
        clock=CLOCK,
        apology_voice=speech().tts if apologises else None,
    )
