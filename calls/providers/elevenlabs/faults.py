"""What ElevenLabs says of its failures, as the one error that providers raise.

By code before status: the same code comes with more than one status. Messages are left out, as
they may quote what was said; codes are looked for in them, as some sockets send no code.
"""

import json
from collections.abc import Mapping
from typing import Any

from calls.domain.events import Stage
from calls.ports.errors import FATAL_FAULTS, ProviderError, ProviderFault
from calls.providers.elevenlabs.address import NAME
from calls.sockets import SocketError, SocketGarbageError, SocketTimeoutError

_BY_CODE: Mapping[str, ProviderFault] = {
    "invalid_api_key": ProviderFault.AUTH,
    "missing_api_key": ProviderFault.AUTH,
    "needs_authorization": ProviderFault.AUTH,
    "missing_permissions": ProviderFault.AUTH,
    "auth_error": ProviderFault.AUTH,
    "unaccepted_terms": ProviderFault.AUTH,
    "quota_exceeded": ProviderFault.QUOTA,
    "voice_not_found": ProviderFault.NOT_FOUND,
    "model_not_found": ProviderFault.NOT_FOUND,
    "max_character_limit_exceeded": ProviderFault.REFUSED,
    "invalid_request": ProviderFault.REFUSED,
    "input_error": ProviderFault.REFUSED,
    "chunk_size_exceeded": ProviderFault.REFUSED,
    "too_many_concurrent_requests": ProviderFault.BUSY,
    "max_active_conversations": ProviderFault.BUSY,
    "system_busy": ProviderFault.BUSY,
    "rate_limited": ProviderFault.BUSY,
    "queue_overflow": ProviderFault.BUSY,
    "resource_exhausted": ProviderFault.BUSY,
    "commit_throttled": ProviderFault.BUSY,
    "input_timeout_exceeded": ProviderFault.UNAVAILABLE,
    "session_time_limit_exceeded": ProviderFault.UNAVAILABLE,
    "insufficient_audio_activity": ProviderFault.UNAVAILABLE,
    "transcriber_error": ProviderFault.UNAVAILABLE,
    "internal_server_error": ProviderFault.UNAVAILABLE,
}
_BY_STATUS: Mapping[int, ProviderFault] = {
    401: ProviderFault.AUTH,
    402: ProviderFault.QUOTA,
    403: ProviderFault.AUTH,
    404: ProviderFault.NOT_FOUND,
    408: ProviderFault.TIMEOUT,
    429: ProviderFault.BUSY,
    503: ProviderFault.BUSY,
    504: ProviderFault.TIMEOUT,
}
_BY_CLOSE: Mapping[int, ProviderFault] = {
    1007: ProviderFault.REFUSED,
    1008: ProviderFault.REFUSED,
    1009: ProviderFault.REFUSED,
    1013: ProviderFault.BUSY,
}
_MESSAGES: Mapping[ProviderFault, str] = {
    ProviderFault.AUTH: "ElevenLabs does not accept the key, or not for this.",
    ProviderFault.QUOTA: "The ElevenLabs account has no credit left.",
    ProviderFault.NOT_FOUND: "ElevenLabs knows no such voice, model or address.",
    ProviderFault.REFUSED: "ElevenLabs refused the request.",
    ProviderFault.UNSUPPORTED: "ElevenLabs cannot do this.",
    ProviderFault.BUSY: "ElevenLabs is busy, or too much was asked for at once.",
    ProviderFault.TIMEOUT: "ElevenLabs did not answer in time.",
    ProviderFault.UNAVAILABLE: "ElevenLabs failed, or the connection to it.",
    ProviderFault.TRUNCATED: "What ElevenLabs sent ended early.",
    ProviderFault.INVALID: "ElevenLabs sent something that is no answer.",
}


def fault(
    kind: ProviderFault,
    *,
    stage: Stage,
    message: str = "",
    retry_after_ms: int | None = None,
    request_id: str = "",
) -> ProviderError:
    """An error of that kind, in our words; retryable unless the same request can only fail."""
    return ProviderError(
        kind,
        message or _MESSAGES[kind],
        provider=NAME,
        stage=stage,
        retryable=kind not in FATAL_FAULTS,
        retry_after_ms=retry_after_ms,
        request_id=request_id,
    )


def refusal(
    status: int, headers: Mapping[str, str], body: Any, *, stage: Stage, request_id: str = ""
) -> ProviderError:
    """An answer that is an error.

    Args:
        headers: names in lower case.
        body: JSON as it was parsed, or as text or bytes.
        request_id: where the answer names none.
    """
    detail = _detail(body)
    kind = _known(detail.get("code")) or _known(detail.get("status"))
    return fault(
        kind or _by_status(status),
        stage=stage,
        retry_after_ms=_milliseconds(headers.get("retry-after")),
        request_id=headers.get("request-id") or _text(detail.get("request_id")) or request_id,
    )


def socket_error(error: SocketError, *, stage: Stage) -> ProviderError:
    """A socket that did not open, or went."""
    if isinstance(error, SocketTimeoutError):
        return fault(ProviderFault.TIMEOUT, stage=stage)
    if isinstance(error, SocketGarbageError):
        return fault(ProviderFault.INVALID, stage=stage)
    if error.status is not None:
        return refusal(error.status, error.headers, error.body, stage=stage)
    # Without a reason it is not a refusal: we close so ourselves when a reader falls behind.
    by_close = _BY_CLOSE.get(error.code or 0) if error.reason else None
    return fault(_known(error.reason) or by_close or ProviderFault.UNAVAILABLE, stage=stage)


def event_error(code: Any, *, stage: Stage, request_id: str = "") -> ProviderError:
    """An error that came as a message on a socket: its code, or whatever stands in its place."""
    kind = _known(code) or ProviderFault.UNAVAILABLE
    return fault(kind, stage=stage, request_id=request_id)


def _known(said: Any) -> ProviderFault | None:
    """What a code means, or the first code found in a sentence."""
    if not isinstance(said, str):
        return None
    if said in _BY_CODE:
        return _BY_CODE[said]
    return next((kind for code, kind in _BY_CODE.items() if code in said), None)


def _by_status(status: int) -> ProviderFault:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ProviderFault.REFUSED if 400 <= status < 500 else ProviderFault.UNAVAILABLE


def _detail(body: Any) -> Mapping[str, Any]:
    """The object that tells of the failure; empty where there is none."""
    if isinstance(body, str | bytes):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return {}
    detail = body.get("detail") if isinstance(body, dict) else None
    if isinstance(detail, str):
        return {"code": detail}
    return detail if isinstance(detail, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _milliseconds(seconds: str | None) -> int | None:
    try:
        return None if seconds is None else max(0, round(float(seconds) * 1000))
    except (ValueError, OverflowError):
        return None
