"""OpenAI Realtime, GA and beta, as a server speaks it."""

from calls.wire.realtime.codec import MESSAGE_BYTES, Realtime
from calls.wire.realtime.dialect import SUBPROTOCOL, Dialect, dialect_of, is_in_band, token_of
from calls.wire.realtime.refusal import Refusal
from calls.wire.realtime.settings import Settings, read_session
from calls.wire.realtime.showing import session_object
from calls.wire.realtime.state import Grant

__all__ = [
    "MESSAGE_BYTES",
    "SUBPROTOCOL",
    "Dialect",
    "Grant",
    "Realtime",
    "Refusal",
    "Settings",
    "dialect_of",
    "is_in_band",
    "read_session",
    "session_object",
    "token_of",
]
