"""What the SDK raises, as the one error that providers raise."""

import json

import httpx2
import openai

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault

_REFUSED = (400, 401, 403, 404, 422)
_FATAL_CODES = frozenset(
    {
        "insufficient_quota",
        "invalid_api_key",
        "account_deactivated",
        "billing_hard_limit_reached",
    }
)
CAUGHT = (openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError)
"""Streamed bodies leak the transport's own errors, and a bad line the parser's."""


def provider_error(error: Exception, *, provider: str, stage: Stage) -> ProviderError:
    """Map an exception of `CAUGHT`. Messages of the server are left out: they may quote us."""
    kind, message = _kind(error)
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", {})
    return ProviderError(
        kind,
        message,
        provider=provider,
        stage=stage,
        retryable=kind is not ProviderFault.REFUSED,
        retry_after_ms=_milliseconds(headers.get("retry-after")),
        request_id=headers.get("x-request-id", ""),
    )


def _kind(error: Exception) -> tuple[ProviderFault, str]:
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return ProviderFault.TIMEOUT, "The model's server did not answer in time."
    if isinstance(error, openai.APIStatusError):
        return _status_kind(error)
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        return ProviderFault.UNAVAILABLE, "The connection to the model's server failed."
    return ProviderFault.INVALID, "The model's server sent something that is no answer."


def _status_kind(error: openai.APIStatusError) -> tuple[ProviderFault, str]:
    status = error.status_code
    if error.code in _FATAL_CODES or status in _REFUSED:
        return ProviderFault.REFUSED, f"The model's server refused the request ({status})."
    if status == 429:
        return ProviderFault.BUSY, "The model's server is busy."
    return ProviderFault.UNAVAILABLE, f"The model's server failed ({status})."


def _milliseconds(seconds: str | None) -> int | None:
    try:
        return None if seconds is None else round(float(seconds) * 1000)
    except ValueError:
        return None
