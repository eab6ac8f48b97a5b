"""What a failing stage looks like from outside."""

import logging

from calls.domain.events import Stage, VoiceFailed
from calls.ports.errors import ProviderError, ProviderFault

logger = logging.getLogger(__name__)

_NAMES = {
    Stage.STT: "Speech recognition",
    Stage.LLM: "The language model",
    Stage.TTS: "The voice",
    Stage.VOICE: "The voice session",
}


def failed(error: Exception, stage: Stage, response_id: int | None = None) -> VoiceFailed:
    """The event that tells of this error.

    A provider's own message is passed on; of any other error only its type is known, to the log:
    its text may hold what was said.
    """
    kind = error.kind.value if isinstance(error, ProviderError) else type(error).__name__
    logger.warning("A stage of a call failed.", extra={"stage": stage.value, "kind": kind})
    busy = isinstance(error, ProviderError) and error.kind is ProviderFault.BUSY
    return VoiceFailed(
        stage=stage, message=_message(error, stage), response_id=response_id, busy=busy
    )


def _message(error: Exception, stage: Stage) -> str:
    if isinstance(error, ProviderError):
        return error.message
    if isinstance(error, TimeoutError):
        return f"{_NAMES[stage]} took too long."
    return f"{_NAMES[stage]} failed."
