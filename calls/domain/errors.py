"""What can go wrong with a call, in codes that clients may rely on."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Stable codes: they stand in `docs/protocols/browser.md` and never change meaning."""

    BAD_MESSAGE = "bad_message"
    UNAUTHORIZED = "unauthorized"
    NO_SUCH_AGENT = "no_such_agent"
    START_TIMEOUT = "start_timeout"
    TAKEN_OVER = "taken_over"
    ENDED = "ended"
    TOO_LARGE = "too_large"
    TOO_FAST = "too_fast"
    FORBIDDEN = "forbidden"
    CONSENT_REQUIRED = "consent_required"
    LIMIT_REACHED = "limit_reached"
    BUSY = "busy"
    DRAINING = "draining"
    STT_FAILED = "stt_failed"
    LLM_FAILED = "llm_failed"
    TTS_FAILED = "tts_failed"
    TOOL_FAILED = "tool_failed"
    SPEECH_BUSY = "speech_busy"
    RECORDS_DELAYED = "records_delayed"
    INTERNAL = "internal"


class EndReason(StrEnum):
    """Why a call is over. Stored on the conversation; told to the client."""

    CALLER_HUNG_UP = "caller_hung_up"
    AGENT_ENDED = "agent_ended"
    SILENCE = "silence"
    MAX_LENGTH = "max_length"
    PROVIDER_FAILED = "provider_failed"
    ABANDONED = "abandoned"
    STAFF_ENDED = "staff_ended"
    BUDGET = "budget"
    """Its money, or its site's minutes or money of the day, are used up."""
    SITE_STOPPED = "site_stopped"
    RESTARTED = "restarted"
    INTERRUPTED = "interrupted"
    """The process died in mid-call; only the reaper gives this reason."""
    ERROR = "error"


class CallError(Exception):
    """An error that the client is told.

    Args:
        code: stable, machine-readable.
        message: one sentence for a person; never holds what was said.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
