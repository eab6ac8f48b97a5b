"""What ElevenLabs' socket for speech to text asks of a client."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

REALTIME_MODELS = frozenset({"scribe_v2_realtime", "scribe_v3_live"})
RATES_HZ = {f"pcm_{rate}": rate for rate in (8000, 16000, 22050, 24000, 44100, 48000)}
LARGEST_CHUNK_BYTES = 256 * 1024
_BOUNDS = {
    "vad_silence_threshold_secs": (0.3, 3),
    "vad_threshold": (0.1, 0.9),
    "min_speech_duration_ms": (50, 2000),
    "min_silence_duration_ms": (50, 2000),
}


class RefusedError(Exception):
    """The client broke a rule; its arguments are the type of the error and what is wrong."""


def socket_config(query: Mapping[str, str]) -> dict[str, Any]:
    """The session that a handshake asks for.

    Raises:
        RefusedError: there is none such.
    """
    for name, (least, most) in _BOUNDS.items():
        if name in query and not least <= float(query[name]) <= most:
            raise RefusedError("invalid_request", f"{name} is out of bounds.")
    keyterms = query.getall("keyterms", [])  # type: ignore[attr-defined] # a MultiDict
    strategy, form = query.get("commit_strategy", "manual"), query.get("audio_format", "pcm_16000")
    timed, filtered = (
        query.get(n) == "true" for n in ("include_timestamps", "filter_background_audio")
    )
    wrong = {
        "model_id": query.get("model_id") not in REALTIME_MODELS,
        "audio_format": form not in RATES_HZ,
        "commit_strategy": strategy not in ("manual", "vad"),
        "keyterms": len(keyterms) > 50 or any(len(term) > 20 for term in keyterms),
        "filter_background_audio": timed and filtered,
        "language_code": len(query.get("language_code", "en")) not in (2, 3),
    }
    if any(wrong.values()):
        raise RefusedError(
            "invalid_request", f"Wrong: {[n for n, is_so in wrong.items() if is_so]}"
        )
    return {
        "sample_rate": RATES_HZ[form],
        "audio_format": form,
        "language_code": query.get("language_code"),
        "commit_strategy": strategy,
        "vad_silence_threshold_secs": float(query.get("vad_silence_threshold_secs", 1.5)),
        "model_id": query["model_id"],
        "include_timestamps": timed,
        "include_language_detection": query.get("include_language_detection") == "true",
        "keyterms": list(keyterms),
    }


def chunk_audio(message: Mapping[str, Any], config: Mapping[str, Any], *, first: bool) -> bytes:
    """The audio of a message that keeps to the rules.

    Raises:
        RefusedError: it does not.
    """
    if message.get("message_type") != "input_audio_chunk":
        raise RefusedError("input_error", "No such message.")
    if not isinstance(message.get("commit"), bool):
        raise RefusedError("input_error", "commit is missing.")
    if message.get("sample_rate") != config["sample_rate"]:
        raise RefusedError("input_error", "That is not the rate of the session.")
    if message.get("previous_text") not in (None, "null") and not first:
        raise RefusedError("input_error", "previous_text goes with the first chunk only.")
    try:
        pcm = base64.b64decode(message.get("audio_base_64"), validate=True)  # type: ignore[arg-type]
    except (TypeError, binascii.Error):
        raise RefusedError("input_error", "That is not base64.") from None
    if len(pcm) % 2:
        raise RefusedError("input_error", "Half a sample.")
    if len(pcm) > LARGEST_CHUNK_BYTES:
        raise RefusedError("chunk_size_exceeded", "Too much at once.")
    return pcm
