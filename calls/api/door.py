"""Who comes in and with what: keys and their scopes, bounded bodies, one shape for every error."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from traceback import format_tb
from typing import Any, cast

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser
from ninja.security import HttpBearer
from typing_extensions import override

from calls.store.database import AWAY
from calls.store.keys import Grant, key_check
from calls.wire.base import WireError
from calls.wire.fields import all_storable, parse_object, storable

logger = logging.getLogger(__name__)

BODY_BYTES = 65_536
DEEPEST = 16
"""Nesting of a body."""

_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    422: "invalid",
    500: "internal",
    503: "unavailable",
}
View = Callable[..., HttpResponseBase]


class ApiError(Exception):
    """The request is answered with this error.

    Args:
        message: one sentence; never repeats what the client sent.
        code: a word for programs; empty: the usual one of the status.
    """

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def refusal(status: int, message: str, code: str = "") -> HttpResponse:
    """`{"error": {"code", "message"}}`."""
    error = {"code": code or _CODES.get(status, "error"), "message": message}
    response = JsonResponse({"error": error}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response["Retry-After"] = "5"
    return response


class BearerKey(HttpBearer):
    """`Authorization: Bearer sk-voice-…`, and nothing else: no cookie opens anything here.

    Args:
        scope: what the key has to be good for; empty: any key will do.
    """

    openapi_bearerFormat = "sk-voice-..."  # noqa: N815 - OpenAPI's word
    openapi_description = "An API key of this server, made in its admin or by `manage.py api_key`."

    def __init__(self, scope: str = "") -> None:
        super().__init__()
        self.scope = scope

    @override
    def authenticate(self, request: HttpRequest, token: str) -> Grant | None:
        grant = key_check(token.strip(), scope=None)
        if grant is not None and self.scope and self.scope not in grant.scopes:
            message = f"The key is not good for this: it needs the scope {self.scope}."
            raise ApiError(403, message, "scope_missing")
        return grant


def grant_of(request: HttpRequest) -> Grant:
    return cast(Grant, request.auth)  # type: ignore[attr-defined]  # ninja's


class StrictJson(Parser):
    """An object of plain JSON: nothing that a database refuses, no deeper than anybody needs."""

    @override
    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        body = parse_object(request.body.decode(), max_bytes=BODY_BYTES)
        if not all_storable(body) or _too_deep(body):
            raise ValueError
        return body


def _too_deep(body: object) -> bool:
    level: list[Any] = [body]
    for _ in range(DEEPEST):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return False
    return True


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def errors_of(api: NinjaAPI) -> None:
    """Have every error of the API answered in its shape."""

    def answers(*kinds: type[Exception]) -> Callable[[Callable[[Any], HttpResponse]], None]:
        def register(answer: Callable[[Any], HttpResponse]) -> None:
            for kind in kinds:
                api.add_exception_handler(kind, lambda _request, error: answer(error))

        return register

    answers(ApiError)(lambda error: refusal(error.status, error.message, error.code))
    answers(AuthenticationError)(_no_key)
    answers(Http404)(lambda _error: refusal(404, "There is no such thing."))
    answers(ValidationError)(lambda error: refusal(422, _wrong(error)))
    answers(HttpError, WireError)(
        lambda _error: refusal(400, "The body is not a JSON object.", "invalid_json")
    )
    answers(*AWAY)(lambda _error: refusal(503, "The database is away: try again."))
    answers(Exception)(_failed)


def _no_key(_error: Exception) -> HttpResponse:
    return refusal(401, "Send a valid API key: Authorization: Bearer sk-voice-...")


def _wrong(error: ValidationError) -> str:
    """Which fields are wrong, and how; not what stood in them."""
    told = []
    for entry in error.errors[:5]:
        place = ".".join(str(part) for part in entry["loc"][1:] if part != "body")
        told.append(f"{place or 'body'}: {entry['msg']}"[:200])
    return "; ".join(told)


def _failed(error: Exception) -> HttpResponse:
    """Logged without its message, which may hold what was said."""
    where = "".join(format_tb(error.__traceback__))
    extra = {"error": type(error).__name__}
    logger.error("An API request failed: %s\n%s", type(error).__name__, where, extra=extra)
    return refusal(500, "Something went wrong here.")


def guarded(view: View) -> View:
    """The same view with bounded bodies and errors in the API's shape; nothing of it is cached."""

    @csrf_exempt
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response = _refused(request) or _shaped(view(request, *args, **kwargs))
        except Http404:
            response = nothing(request)
        if not response.has_header("Cache-Control"):
            response["Cache-Control"] = "no-store"
        response["X-Content-Type-Options"] = "nosniff"
        return response

    return inner


def nothing(_request: HttpRequest) -> HttpResponse:
    """Whatever else lies below the API's address."""
    return refusal(404, "There is nothing at this address.")


def _refused(request: HttpRequest) -> HttpResponse | None:
    if not storable(request.path):
        return refusal(404, "There is nothing at this address.")
    values = (text for name, texts in request.GET.lists() for text in (name, *texts))
    if not all(map(storable, values)):
        return refusal(422, "The query holds characters that no text has.")
    too_large = refusal(413, f"A body is at most {BODY_BYTES} bytes.")
    try:
        declared = int(request.headers.get("Content-Length") or 0)
        return too_large if max(declared, len(request.body)) > BODY_BYTES else None
    except RequestDataTooBig:
        return too_large
    except (UnreadablePostError, ValueError):
        return refusal(400, "The body cannot be read.")


def _shaped(response: HttpResponseBase) -> HttpResponseBase:
    """What the framework says by itself, in our words."""
    kind = response.headers.get("Content-Type", "")
    if response.status_code < 400 or kind.startswith("application/json"):
        return response
    if response.status_code == 416:
        return response
    ours = refusal(response.status_code, HTTPStatus(response.status_code).phrase + ".")
    if response.has_header("Allow"):
        ours["Allow"] = response["Allow"]
    return ours
