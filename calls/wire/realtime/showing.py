"""The session as the client sees it: everything that is in force, in its dialect."""

from typing import Any

from calls.wire.realtime.dialect import Dialect
from calls.wire.realtime.settings import Settings, Transcription, TurnDetection
from calls.wire.realtime.sound import SoundFormat

DEFAULT_MODEL = "gpt-realtime"
"""Shown to clients that asked for none; what answers is the agent's choice."""

TEMPERATURE = 0.8
"""The beta shows one; models here are asked as their agent is set."""

_BETA_FORMATS = {
    SoundFormat.PCM: "pcm16",
    SoundFormat.ULAW: "g711_ulaw",
    SoundFormat.ALAW: "g711_alaw",
}


def session_object(
    settings: Settings,
    dialect: Dialect,
    *,
    session_id: str = "",
    model: str = "",
    expires_at: int | None = None,
) -> dict[str, Any]:
    """The full session in force.

    Args:
        expires_at: seconds since 1970; None: it is not shown.
    """
    shown = {
        "object": "realtime.session",
        "id": session_id,
        "model": model or DEFAULT_MODEL,
        "instructions": settings.instructions,
        "tools": list(settings.tools),
        "tracing": None,
    }
    shown |= _nested(settings) if dialect is Dialect.GA else _flat(settings)
    return shown if expires_at is None else shown | {"expires_at": expires_at}


def format_object(form: SoundFormat) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": form.value}
    return shown | {"rate": form.rate_hz} if form is SoundFormat.PCM else shown


def beta_format(form: SoundFormat) -> str:
    return _BETA_FORMATS[form]


def tokens_shown(most: int) -> int | str:
    return most or "inf"


def _nested(settings: Settings) -> dict[str, Any]:
    return {
        "type": "realtime",
        "output_modalities": ["text"] if settings.text_only else ["audio"],
        "tool_choice": _choice(settings.tool_choice),
        "max_output_tokens": tokens_shown(settings.max_output_tokens),
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": format_object(settings.input_format),
                "transcription": _transcription(settings.transcription),
                "noise_reduction": None,
                "turn_detection": _turns(settings.turns, Dialect.GA),
            },
            "output": {
                "format": format_object(settings.output_format),
                "voice": settings.voice,
                "speed": settings.speed,
            },
        },
    }


def _flat(settings: Settings) -> dict[str, Any]:
    return {
        "modalities": ["text"] if settings.text_only else ["text", "audio"],
        "voice": settings.voice,
        "speed": settings.speed,
        "input_audio_format": beta_format(settings.input_format),
        "output_audio_format": beta_format(settings.output_format),
        "input_audio_transcription": _transcription(settings.transcription),
        "input_audio_noise_reduction": None,
        "turn_detection": _turns(settings.turns, Dialect.BETA),
        "tool_choice": settings.tool_choice or "auto",
        "temperature": TEMPERATURE,
        "max_response_output_tokens": tokens_shown(settings.max_output_tokens),
    }


def _choice(choice: str) -> Any:
    if choice in ("", "none", "required"):
        return choice or "auto"
    return {"type": "function", "name": choice}


def _transcription(transcription: Transcription | None) -> dict[str, str] | None:
    if transcription is None:
        return None
    shown = {
        "model": transcription.model,
        "language": transcription.language,
        "prompt": transcription.prompt,
    }
    return {key: value for key, value in shown.items() if value is not None}


def _turns(turns: TurnDetection | None, dialect: Dialect) -> dict[str, Any] | None:
    if turns is None:
        return None
    shown: dict[str, Any] = {
        "create_response": turns.create_response,
        "interrupt_response": turns.interrupt_response,
    }
    if turns.semantic:
        return {"type": "semantic_vad", "eagerness": turns.eagerness, **shown}
    shown |= {
        "type": "server_vad",
        "threshold": turns.threshold,
        "prefix_padding_ms": turns.prefix_ms,
        "silence_duration_ms": turns.silence_ms,
    }
    # Only the GA knows it.
    return shown | {"idle_timeout_ms": turns.idle_timeout_ms} if dialect is Dialect.GA else shown
