"""What the SDK raises, as the one error that providers raise."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai

from calls.domain.events import Stage
from calls.ports.errors import FATAL_FAULTS, ProviderError, ProviderFault

CAUGHT = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.StreamError,
    json.JSONDecodeError,
    UnicodeDecodeError,
    TimeoutError,
)
"""Streamed bodies leak the transport's own errors, and a bad line the parser's."""

_DECISIVE = {
    "invalid_api_key": ProviderFault.AUTH,
    "account_deactivated": ProviderFault.AUTH,
    "insufficient_quota": ProviderFault.QUOTA,
    "billing_hard_limit_reached": ProviderFault.QUOTA,
    "model_not_found": ProviderFault.NOT_FOUND,
}
"""Codes that say more than the status they come with."""

_BY_CODE = {
    "authentication_error": ProviderFault.AUTH,
    "permission_error": ProviderFault.AUTH,
    "not_found_error": ProviderFault.NOT_FOUND,
    "rate_limit_exceeded": ProviderFault.BUSY,
    "rate_limit_error": ProviderFault.BUSY,
    "server_overloaded": ProviderFault.BUSY,
    "overloaded_error": ProviderFault.BUSY,
    "context_length_exceeded": ProviderFault.REFUSED,
    "content_filter": ProviderFault.REFUSED,
    "content_policy_violation": ProviderFault.REFUSED,
    "invalid_prompt": ProviderFault.REFUSED,
    "invalid_value": ProviderFault.REFUSED,
    "invalid_request_error": ProviderFault.REFUSED,
}
"""Codes and types for errors that come without a status."""

_BY_STATUS = {
    401: ProviderFault.AUTH,
    402: ProviderFault.QUOTA,
    403: ProviderFault.AUTH,
    404: ProviderFault.NOT_FOUND,
    405: ProviderFault.UNSUPPORTED,
    408: ProviderFault.TIMEOUT,
    409: ProviderFault.UNAVAILABLE,
    429: ProviderFault.BUSY,
    501: ProviderFault.UNSUPPORTED,
    # OpenAI and Ollama say so of too much work, llama.cpp while it loads the model.
    503: ProviderFault.BUSY,
    529: ProviderFault.BUSY,
}

_MESSAGES = {
    ProviderFault.AUTH: "The provider does not accept the key.",
    ProviderFault.QUOTA: "The account at the provider has no credit left.",
    ProviderFault.NOT_FOUND: "The provider knows no such model or address.",
    ProviderFault.REFUSED: "The provider refused the request.",
    ProviderFault.UNSUPPORTED: "The provider cannot do this.",
    ProviderFault.BUSY: "The provider is busy.",
    ProviderFault.TIMEOUT: "The provider did not answer in time.",
    ProviderFault.UNAVAILABLE: "The connection to the provider failed.",
    ProviderFault.INVALID: "The provider sent something that is no answer.",
    ProviderFault.TRUNCATED: "The provider's answer ended early.",
}

_CODE_DEPTH = 4
_CODE_CHARS = 500


def provider_error(error: Exception, *, provider: str, stage: Stage) -> ProviderError:
    """Map an exception of `CAUGHT`. Messages of the server are left out: they may quote us."""
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", {})
    status = error.status_code if isinstance(error, openai.APIStatusError) else 0
    return fault(
        _kind(error, status),
        provider=provider,
        stage=stage,
        status=status,
        retry_after_ms=retry_after_ms(headers),
        request_id=headers.get("x-request-id", ""),
    )


def payload_error(
    payload: Any, *, provider: str, stage: Stage, request_id: str = ""
) -> ProviderError:
    """Map what a server says of an error in the middle of an answer: an object or a text."""
    kind = _kind_of_payload(payload)
    return fault(kind, provider=provider, stage=stage, request_id=request_id)


def fault(
    kind: ProviderFault,
    *,
    provider: str,
    stage: Stage,
    status: int = 0,
    retry_after_ms: int | None = None,
    request_id: str = "",
) -> ProviderError:
    """The error of that kind, with our own words for it."""
    failed = kind is ProviderFault.UNAVAILABLE and status
    message = "The provider failed." if failed else _MESSAGES[kind]
    return ProviderError(
        kind,
        f"{message[:-1]} ({status})." if status else message,
        provider=provider,
        stage=stage,
        retryable=kind not in FATAL_FAULTS,
        retry_after_ms=retry_after_ms,
        request_id=request_id,
    )


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """When to try again, in ms from now, by `retry-after-ms` or `retry-after`; None: not said."""
    exact = _number(headers.get("retry-after-ms"))
    if exact is not None:
        return round(exact)
    later = headers.get("retry-after")
    seconds = _number(later)
    if seconds is None:
        seconds = _seconds_until(later, headers.get("date"))
    return None if seconds is None else round(seconds * 1000)


def _kind(error: Exception, status: int) -> ProviderFault:
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException | TimeoutError):
        return ProviderFault.TIMEOUT
    if status:
        return _decisive(getattr(error, "body", None)) or _of_status(status)
    if isinstance(error, openai.APIConnectionError | httpx2.HTTPError | httpx2.StreamError):
        return ProviderFault.UNAVAILABLE
    if isinstance(error, openai.APIResponseValidationError):
        return ProviderFault.INVALID
    if isinstance(error, openai.APIError):
        return _kind_of_payload(error.body)
    return ProviderFault.INVALID


def _of_status(status: int) -> ProviderFault:
    other = ProviderFault.REFUSED if status < 500 else ProviderFault.UNAVAILABLE
    return _BY_STATUS.get(status, other)


def _kind_of_payload(payload: Any) -> ProviderFault:
    if (kind := _decisive(payload)) is not None:
        return kind
    for code in _codes(payload):
        if code in _BY_CODE:
            return _BY_CODE[code]
        if code.isdecimal() and 400 <= int(code) < 600:
            return _of_status(int(code))
    return ProviderFault.UNAVAILABLE


def _decisive(payload: Any) -> ProviderFault | None:
    return next((_DECISIVE[code] for code in _codes(payload) if code in _DECISIVE), None)


def _codes(payload: Any, depth: int = 0) -> Iterator[str]:
    """Words that may be codes: `code` before `type`, then what is nested; messages are no codes."""
    if depth > _CODE_DEPTH:
        return
    if isinstance(payload, str | int):
        yield from re.findall(r"\w+", str(payload)[:_CODE_CHARS].lower())
    elif isinstance(payload, list):
        for entry in payload[:1]:
            yield from _codes(entry, depth + 1)
    elif isinstance(payload, Mapping):
        for name in ("code", "type", "error", "detail"):
            yield from _codes(payload.get(name), depth + 1)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return max(number, 0.0) if math.isfinite(number) else None


def _seconds_until(later: str | None, now: str | None) -> float | None:
    """From the server's own now, as far as it says: clocks differ."""
    if (then := _moment(later)) is None:
        return None
    return max((then - (_moment(now) or datetime.now(UTC))).total_seconds(), 0.0)


def _moment(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
