"""The one error that providers raise."""

from enum import StrEnum

from calls.domain.events import Stage


class ProviderFault(StrEnum):
    BUSY = "busy"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    """Key, quota or input: trying again gives the same."""
    TRUNCATED = "truncated"
    """The stream ended early without saying so."""
    CRASHED = "crashed"
    INVALID = "invalid"


class ProviderError(Exception):
    """A provider could not do what was asked.

    Args:
        kind: what went wrong.
        message: one sentence; never holds what was said, nor a key.
        provider: the adapter's name.
        stage: the service concerned.
        retryable: the same request may succeed soon.
        retry_after_ms: when to try again, if the provider said so.
        request_id: the provider's own id of the request, if it gave one.
    """

    def __init__(
        self,
        kind: ProviderFault,
        message: str,
        *,
        provider: str,
        stage: Stage,
        retryable: bool = False,
        retry_after_ms: int | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.provider = provider
        self.stage = stage
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms
        self.request_id = request_id
