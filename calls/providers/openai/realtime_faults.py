"""What goes wrong with a realtime session, as the one error that providers raise."""

import json
from collections.abc import Mapping
from typing import Any

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.openai.faults import fault, payload_error, retry_after_ms
from calls.sockets import SocketError, SocketGarbageError, SocketTimeoutError

EXPIRED = "session_expired"
"""Its hour is over; a new session does as well."""


def socket_error(error: SocketError, *, provider: str, stage: Stage) -> ProviderError:
    """Map a socket that could not be opened, or was lost. What the server says is left out."""
    return fault(
        _kind(error, provider, stage),
        provider=provider,
        stage=stage,
        status=error.status or 0,
        retry_after_ms=retry_after_ms(error.headers),
        request_id=error.headers.get("x-request-id", ""),
    )


def event_error(
    event: Mapping[str, Any], *, provider: str, stage: Stage, request_id: str = ""
) -> ProviderError:
    """Map an event that holds an `error`: one of that name, or of something that failed."""
    error = event.get("error")
    if isinstance(error, Mapping) and error.get("code") == EXPIRED:
        kind = ProviderFault.UNAVAILABLE
        return fault(kind, provider=provider, stage=stage, request_id=request_id)
    return payload_error(error, provider=provider, stage=stage, request_id=request_id)


def response_error(
    response: Mapping[str, Any], *, provider: str, stage: Stage
) -> ProviderError | None:
    """Map the end of a response, as `response.done` holds it; None: it is complete."""
    status, request_id = response.get("status"), str(response.get("id") or "")
    details = response.get("status_details")
    details = details if isinstance(details, Mapping) else {}
    if status == "completed":
        return None
    if status == "failed":
        return event_error(details, provider=provider, stage=stage, request_id=request_id)
    refused = details.get("reason") == "content_filter"
    kind = ProviderFault.REFUSED if refused else ProviderFault.TRUNCATED
    return fault(kind, provider=provider, stage=stage, request_id=request_id)


def _kind(error: SocketError, provider: str, stage: Stage) -> ProviderFault:
    if isinstance(error, SocketTimeoutError):
        return ProviderFault.TIMEOUT
    if isinstance(error, SocketGarbageError):
        return ProviderFault.INVALID
    if error.status is None and EXPIRED in error.reason:
        return ProviderFault.UNAVAILABLE
    # A code says more than the status it comes with.
    said = {"code": str(error.status), "error": _body(error)} if error.status else error.reason
    return payload_error(said, provider=provider, stage=stage).kind


def _body(error: SocketError) -> Any:
    try:
        body = json.loads(error.body)
    except (ValueError, RecursionError):
        return None
    return body.get("error") if isinstance(body, dict) else None
