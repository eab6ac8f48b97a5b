"""The one error that providers raise."""

from enum import StrEnum

from calls.domain.events import Stage


class ProviderFault(StrEnum):
    """What went wrong, as far as it matters for what to do next."""

    AUTH = "auth"
    """The key is missing, unknown or not allowed to do this."""
    QUOTA = "quota"
    """The account has no credit left."""
    NOT_FOUND = "not_found"
    """No such model, voice or address."""
    REFUSED = "refused"
    """The request itself is wrong: trying again gives the same."""
    UNSUPPORTED = "unsupported"
    """The server cannot do this at all."""
    BUSY = "busy"
    """Too many requests, or overloaded."""
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    """No connection, a lost one, or a failure on the other side."""
    TRUNCATED = "truncated"
    """The stream ended early without saying so."""
    INVALID = "invalid"
    """What came is not what the protocol allows."""
    CRASHED = "crashed"
    """A worker process of our own died."""


FATAL_FAULTS = frozenset(
    {
        ProviderFault.AUTH,
        ProviderFault.QUOTA,
        ProviderFault.NOT_FOUND,
        ProviderFault.REFUSED,
        ProviderFault.UNSUPPORTED,
    }
)
"""The same request can only fail again; what helps is another provider, or a person."""


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
