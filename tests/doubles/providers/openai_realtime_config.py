"""What a realtime session may be told to be."""

import copy
from collections.abc import Mapping
from typing import Any

from tests.doubles.providers.openai_realtime_script import RejectedError

PCM = {"type": "audio/pcm", "rate": 24000}
SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
SEMANTIC_VAD = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
EAGERNESS_MS = {"low": 800, "medium": 400, "auto": 400, "high": 200}
"""A tenth of the longest wait of the real one."""

LIVE_MODELS = ("gpt-live-transcribe", "gpt-realtime-whisper")
"""They transcribe while the caller speaks, and take no turn detection at all."""

MODELS = (
    *LIVE_MODELS,
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "whisper-1",
)
VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
REPLACED = ("turn_detection", "transcription", "format", "noise_reduction")
COMMON = ("type", "audio", "include")
REALTIME = (
    *(*COMMON, "model", "output_modalities", "instructions", "tools", "tool_choice"),
    *("parallel_tool_calls", "reasoning", "max_output_tokens", "truncation", "tracing", "prompt"),
)
INPUT = ("format", "transcription", "turn_detection", "noise_reduction")
OUTPUT = ("format", "voice", "speed")
TRANSCRIPTION = ("model", "language", "languages", "prompt", "keywords", "delay")
RESPONSE = (
    *("audio", "conversation", "input", "instructions", "max_output_tokens", "metadata"),
    *("output_modalities", "parallel_tool_calls", "prompt", "reasoning", "tool_choice", "tools"),
)


def conversation_defaults(model: str) -> dict[str, Any]:
    return {
        "type": "realtime",
        "object": "realtime.session",
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "audio": {
            "input": {
                "format": dict(PCM),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": dict(SERVER_VAD),
            },
            "output": {"format": dict(PCM), "voice": "marin", "speed": 1.0},
        },
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
        "prompt": None,
        "include": None,
    }


def transcription_defaults() -> dict[str, Any]:
    inputs = {"format": dict(PCM), "transcription": None, "noise_reduction": None}
    return {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "audio": {"input": {**inputs, "turn_detection": None}},
        "include": None,
    }


def updated(session: Mapping[str, Any], change: Any) -> dict[str, Any]:
    """The session with that change, which is checked.

    Raises:
        RejectedError: it breaks a rule; then nothing of it counts.
    """
    _check_type(session, change)
    known = REALTIME if session["type"] == "realtime" else COMMON
    _only(change, known, "session")
    _only(change.get("audio") or {}, ("input", "output"), "session.audio")
    if "model" in change and change["model"] != session.get("model"):
        raise RejectedError(
            "invalid_parameter", "A session's model cannot change.", "session.model"
        )
    result = _merged(session, change)
    _check_input(result["audio"]["input"])
    if session["type"] == "realtime":
        _check_realtime(result)
    elif "output" in result["audio"]:
        raise _unknown("session.audio.output")
    return result


def check_response(params: Any) -> None:
    if not isinstance(params, dict):
        raise RejectedError("invalid_type", "Expected an object.", "response")
    _only(params, RESPONSE, "response")
    check_modalities(params.get("output_modalities", ["audio"]), "response")
    if params.get("conversation", "auto") not in ("auto", "none"):
        raise RejectedError("invalid_value", "Not 'auto' or 'none'.", "response.conversation")
    metadata = params.get("metadata") or {}
    if len(metadata) > 16 or not all(
        isinstance(value, str) and len(value) <= 512 and len(key) <= 64
        for key, value in metadata.items()
    ):
        raise RejectedError("invalid_value", "Metadata is text, and short.", "response.metadata")


def check_modalities(value: Any, of: str) -> None:
    if value not in (["audio"], ["text"]):
        message = "Supported combinations are: ['text'] and ['audio']."
        raise RejectedError("invalid_value", message, f"{of}.output_modalities")


def check_voice(voice: Any, param: str) -> None:
    if voice not in VOICES and not (isinstance(voice, dict) and voice.get("id")):
        raise RejectedError("invalid_value", "No such voice.", param)


def _check_type(session: Mapping[str, Any], change: Any) -> None:
    if not isinstance(change, dict) or "type" not in change:
        message = "Missing required parameter: 'session.type'."
        raise RejectedError("missing_required_parameter", message, "session.type")
    if change["type"] != session["type"]:
        message = f"Passing a {change['type']} session update event to a {session['type']} session is not allowed."
        raise RejectedError("invalid_parameter", message, "session.type")


def _check_input(inputs: dict[str, Any]) -> None:
    _only(inputs, INPUT, "session.audio.input")
    _check_format(inputs["format"], "session.audio.input.format")
    transcription = inputs["transcription"]
    if transcription is not None:
        _only(transcription, TRANSCRIPTION, "session.audio.input.transcription")
        if transcription.get("model") not in MODELS:
            param = "session.audio.input.transcription.model"
            raise RejectedError("invalid_value", "No such transcription model.", param)
    noise = inputs["noise_reduction"]
    if noise is not None and noise.get("type") not in ("near_field", "far_field"):
        param = "session.audio.input.noise_reduction.type"
        raise RejectedError("invalid_value", "Not 'near_field' or 'far_field'.", param)
    inputs["turn_detection"] = _turns(inputs["turn_detection"], transcription)


def _turns(turns: Any, transcription: Any) -> dict[str, Any] | None:
    if turns is None:
        return None
    param = "session.audio.input.turn_detection"
    if transcription is not None and transcription["model"] in LIVE_MODELS:
        raise RejectedError("invalid_value", "Not supported for this transcription model.", param)
    defaults = {"server_vad": SERVER_VAD, "semantic_vad": SEMANTIC_VAD}.get(turns.get("type"))
    if defaults is None:
        raise RejectedError("invalid_value", "No such turn detection.", f"{param}.type")
    _only(turns, tuple(defaults), param)
    if turns.get("eagerness", "auto") not in EAGERNESS_MS:
        raise RejectedError("invalid_value", "No such eagerness.", f"{param}.eagerness")
    return {**defaults, **turns}


def _check_realtime(session: dict[str, Any]) -> None:
    check_modalities(session["output_modalities"], "session")
    output = session["audio"]["output"]
    _only(output, OUTPUT, "session.audio.output")
    _check_format(output["format"], "session.audio.output.format")
    check_voice(output["voice"], "session.audio.output.voice")
    speed, param = output["speed"], "session.audio.output.speed"
    if speed > 1.5:
        raise RejectedError("decimal_above_max_value", "Speed is 1.5 at most.", param)
    if speed < 0.25:
        raise RejectedError("decimal_below_min_value", "Speed is 0.25 at least.", param)
    for tool in session["tools"]:
        if tool.get("type") != "function" or not tool.get("name"):
            raise RejectedError("invalid_value", "Not a function.", "session.tools")


def _check_format(value: Any, param: str) -> None:
    if value != PCM:
        raise RejectedError("invalid_value", "This double knows pcm at 24000 Hz alone.", param)


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    result = copy.deepcopy(dict(old))
    for key, value in new.items():
        inner = isinstance(value, dict) and isinstance(result.get(key), dict)
        deep = inner and key not in REPLACED
        result[key] = _merged(result[key], value) if deep else copy.deepcopy(value)
    return result


def _only(value: Any, known: tuple[str, ...], at: str) -> None:
    if not isinstance(value, dict):
        raise RejectedError("invalid_type", f"Invalid type for '{at}': expected an object.", at)
    for key in value:
        if key not in known and key not in ("object", "id", "expires_at"):
            raise _unknown(f"{at}.{key}")


def _unknown(param: str) -> RejectedError:
    return RejectedError("unknown_parameter", f"Unknown parameter: '{param}'.", param)
