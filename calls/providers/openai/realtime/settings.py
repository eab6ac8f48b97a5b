"""What a realtime session is told to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from calls.ports.tools import ToolSpec

PCM = {"type": "audio/pcm", "rate": 24_000}
SLOWEST, FASTEST = 0.25, 1.5
MAX_SESSION_MS = 50 * 60_000
"""The provider ends a session after an hour, without warning."""

TurnDetection = Literal["ours", "server_vad", "semantic_vad"]

_WITH_TEMPERATURE = ("gpt-4o-realtime-preview", "gpt-4o-mini-realtime-preview")
"""Models of the beta, and dated ones of these names; later ones refuse the parameter."""

_SEVERAL_LANGUAGES = ("gpt-transcribe", "gpt-live-transcribe")
"""Recognisers that take a list of languages."""

_LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeSettings:
    """How the agent is, hears and speaks.

    Attributes:
        language: BCP 47 tag.
        language_instruction: tell the model to speak that language, whatever it hears.
        voice: frozen by the provider once the agent has spoken.
        speed: 1.0 is the voice's normal pace; clamped to 0.25..1.5.
        temperature: only models of the beta are told; None: the model's own.
        turn_detection: who says when a turn of the caller is over. "ours": the call's detector.
        vad_threshold: 0..1, of "server_vad", as are `vad_prefix_ms` and `vad_silence_ms`.
        vad_eagerness: "low", "medium", "high" or "auto", of "semantic_vad".
        max_output_tokens: of one answer; None: no limit.
        transcription_model: writes down what the caller says; the answer does not wait for it.
        noise_reduction: "near_field" for headsets, "far_field" for rooms; empty: none.
        tracing: have the provider keep a trace of the session.
        client_tools: beside `tools`; of two with one name these count.
        tool_choice: "" as the model likes, "none", "required", or the name of one tool.
        text_only: no sound is made.
        max_session_ms: then the session is replaced by a new one, between two answers.
    """

    model: str
    system_prompt: str = ""
    tools: tuple[ToolSpec, ...] = ()
    language: str = "en"
    language_instruction: bool = False
    voice: str = "marin"
    speed: float = 1.0
    temperature: float | None = None
    turn_detection: TurnDetection = "ours"
    vad_threshold: float = 0.5
    vad_prefix_ms: int = 300
    vad_silence_ms: int = 500
    vad_eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    max_output_tokens: int | None = None
    transcription_model: str = "gpt-transcribe"
    noise_reduction: Literal["", "near_field", "far_field"] = "near_field"
    tracing: bool = False
    client_tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = ""
    text_only: bool = False
    max_session_ms: int = MAX_SESSION_MS

    @property
    def pace(self) -> float:
        """The speed that the provider takes."""
        return min(max(self.speed, SLOWEST), FASTEST)

    @property
    def all_tools(self) -> tuple[ToolSpec, ...]:
        named = {tool.name: tool for tool in (*self.tools, *self.client_tools)}
        return tuple(named.values())


def session_update(settings: RealtimeSettings) -> dict[str, Any]:
    """The event that makes a fresh session what `settings` say."""
    session: dict[str, Any] = {
        "type": "realtime",
        "model": settings.model,
        "output_modalities": modalities(text_only=settings.text_only),
        "instructions": instructions(settings),
        "audio": {"input": _input(settings), "output": _output(settings)},
        "tools": [tool_object(tool) for tool in settings.all_tools],
        "tool_choice": tool_choice(settings.tool_choice, settings.all_tools),
        "max_output_tokens": settings.max_output_tokens or "inf",
        "truncation": "auto",
        "tracing": "auto" if settings.tracing else None,
    }
    if settings.temperature is not None and settings.model.startswith(_WITH_TEMPERATURE):
        session["temperature"] = settings.temperature
    return {"type": "session.update", "session": session}


def modalities(*, text_only: bool) -> list[str]:
    return ["text" if text_only else "audio"]


def tool_choice(choice: str, tools: Sequence[ToolSpec]) -> str | dict[str, Any]:
    """In the provider's words; a tool that is not offered cannot be chosen."""
    if choice in ("none", "required"):
        return choice if tools else "auto"
    named = any(tool.name == choice for tool in tools)
    return {"type": "function", "name": choice} if named else "auto"


def instructions(settings: RealtimeSettings) -> str:
    if not settings.language_instruction:
        return settings.system_prompt
    rule = f"Always speak {language_name(settings.language)}, whatever language you hear."
    return f"{settings.system_prompt}\n\n{rule}".strip()


def instructions_update(settings: RealtimeSettings) -> dict[str, Any]:
    """The event that changes only what the model is told."""
    session = {"type": "realtime", "instructions": instructions(settings)}
    return {"type": "session.update", "session": session}


def language_name(tag: str) -> str:
    """As a model is told; the tag itself where we know no better."""
    return _LANGUAGES.get(tag.partition("-")[0].lower(), tag)


def _input(settings: RealtimeSettings) -> dict[str, Any]:
    noise = settings.noise_reduction
    return {
        "format": dict(PCM),
        "transcription": transcription(settings),
        "noise_reduction": {"type": noise} if noise else None,
        "turn_detection": _turn_detection(settings),
    }


def transcription(settings: RealtimeSettings) -> dict[str, Any]:
    language = settings.language.partition("-")[0].lower()
    told: dict[str, Any] = {"model": settings.transcription_model}
    if language and settings.transcription_model in _SEVERAL_LANGUAGES:
        told["languages"] = [language]
    elif language:
        told["language"] = language
    return told


def _turn_detection(settings: RealtimeSettings) -> dict[str, Any] | None:
    # The call decides when the agent answers and when it stops.
    passive = {"create_response": False, "interrupt_response": False}
    match settings.turn_detection:
        case "server_vad":
            return {
                "type": "server_vad",
                "threshold": settings.vad_threshold,
                "prefix_padding_ms": settings.vad_prefix_ms,
                "silence_duration_ms": settings.vad_silence_ms,
                **passive,
            }
        case "semantic_vad":
            return {"type": "semantic_vad", "eagerness": settings.vad_eagerness, **passive}
        case _:
            return None


def _output(settings: RealtimeSettings) -> dict[str, Any]:
    return {"format": dict(PCM), "voice": settings.voice, "speed": settings.pace}


def tool_object(tool: ToolSpec) -> dict[str, Any]:
    parameters: Mapping[str, Any] = dict(tool.parameters) or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": parameters,
    }
