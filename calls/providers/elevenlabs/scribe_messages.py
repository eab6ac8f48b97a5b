"""What is said on Scribe's socket, in both directions."""

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from calls.domain.audio import CALLER
from calls.providers.elevenlabs.address import ElevenLabs

PATH = "/v1/speech-to-text/realtime"
MOST_KEYTERMS = 50
LONGEST_KEYTERM_CHARS = 20
CONTEXT_CHARS = 200

TIME_LIMIT = "session_time_limit_exceeded"
NOTHING = frozenset({"insufficient_audio_activity", "commit_throttled"})
"""A commit is answered so when there was nothing to understand."""
ERRORS = frozenset(
    {
        "error",
        "auth_error",
        "quota_exceeded",
        "unaccepted_terms",
        "rate_limited",
        "queue_overflow",
        "resource_exhausted",
        TIME_LIMIT,
        "input_error",
        "invalid_request",
        "chunk_size_exceeded",
        "transcriber_error",
    }
)
HANDLED_MESSAGES = (
    frozenset({"session_started", "partial_transcript", "committed_transcript", "warning"})
    | NOTHING
    | ERRORS
)
IGNORED_MESSAGES = frozenset(
    {
        "committed_transcript_with_timestamps",
        "committed_transcript_entities",
        "redacted_transcript",
        "edited_transcript",
        "diarized_transcript",
        "speakers_merged",
    }
)
"""They add to a committed text what was never asked for."""


def language_code(language: str) -> str:
    """ISO 639 code of a BCP 47 tag; empty where there is none."""
    code = language.replace("_", "-").partition("-")[0].lower()
    return code if code.isascii() and code.isalpha() and len(code) in (2, 3) else ""


def realtime_url(address: ElevenLabs, model: str, code: str, keyterms: tuple[str, ...] = ()) -> str:
    """Where a socket for that language (ISO 639) opens; keyterms beyond the limits are left out."""
    url = address.ws_url(
        PATH,
        {
            "model_id": model,
            "audio_format": f"pcm_{CALLER.rate_hz}",
            "commit_strategy": "manual",
            "language_code": code,
        },
    )
    short = [term for term in keyterms if 0 < len(term) <= LONGEST_KEYTERM_CHARS]
    terms = urlencode([("keyterms", term) for term in short[:MOST_KEYTERMS]])
    return f"{url}&{terms}" if terms else url


def audio_chunk(pcm: bytes, *, commit: bool = False, previous_text: str = "") -> dict[str, Any]:
    """The one message that Scribe takes. `previous_text` goes with a socket's first one only."""
    message: dict[str, Any] = {
        "message_type": "input_audio_chunk",
        "audio_base_64": base64.b64encode(pcm).decode(),
        "commit": commit,
        "sample_rate": CALLER.rate_hz,
    }
    return {**message, "previous_text": previous_text} if previous_text else message


def last_words(text: str) -> str:
    """The end of a text, from the beginning of a word on."""
    text = " ".join(text.split())
    if len(text) <= CONTEXT_CHARS:
        return text
    return text[-CONTEXT_CHARS:].partition(" ")[2]


def text_of(message: Mapping[str, Any]) -> str:
    text = message.get("text")
    return text.strip() if isinstance(text, str) else ""
