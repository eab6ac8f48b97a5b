"""Which of the two sets of names a client speaks, and what it brought to be let in."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from calls.wire.base import Knock

SUBPROTOCOL = "realtime"
"""Selected whenever it is offered: a browser refuses a server that selects none."""

_KEY = "openai-insecure-api-key."
_BETA_PROTOCOL = "openai-beta.realtime"
_AGENTS_PROTOCOL = "openai-agents-sdk."
_FLAT = frozenset(
    {
        "modalities",
        "voice",
        "speed",
        "temperature",
        "input_audio_format",
        "output_audio_format",
        "input_audio_transcription",
        "input_audio_noise_reduction",
        "turn_detection",
        "max_response_output_tokens",
        "client_secret",
    }
)
"""Fields of a session that only the beta has there."""


class Dialect(StrEnum):
    GA = "ga"
    BETA = "beta"


def dialect_of(knock: Knock) -> Dialect | None:
    """What headers and subprotocols say; None: nothing, so the first `session.update` decides."""
    if "realtime" in knock.headers.get("openai-beta", ""):
        return Dialect.BETA
    if any(name.startswith(_BETA_PROTOCOL) for name in knock.subprotocols):
        return Dialect.BETA
    if any(name.startswith(_AGENTS_PROTOCOL) for name in knock.subprotocols):
        return Dialect.GA
    return None


def dialect_of_session(fields: Mapping[str, Any]) -> Dialect | None:
    """What the session object of a first `session.update` says; None: it could be either."""
    if "type" in fields or "audio" in fields:
        return Dialect.GA
    if not _FLAT.isdisjoint(fields):
        return Dialect.BETA
    return None


def token_of(knock: Knock) -> str:
    """The key or secret of header or subprotocol; empty: there is none."""
    kind, _, token = knock.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    for name in knock.subprotocols:
        if name.startswith(_KEY):
            return name.removeprefix(_KEY)
    return ""


def is_in_band(knock: Knock) -> bool:
    """Whether the client can only bring its secret in a message.

    So does `realtime-transport-websocket`: it sends neither a header nor a subprotocol.
    """
    return "authorization" not in knock.headers and not knock.subprotocols
