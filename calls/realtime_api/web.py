"""JSON over HTTP for programs and for pages of other origins: bodies, refusals, CORS.

Errors have OpenAI's shape, `{"error": {"message", "type", "param", "code"}}`.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from calls.conf import calls_settings
from calls.origins import allowed_origin, scope_of
from calls.wire.base import WireError
from calls.wire.fields import all_storable, parse_object

BODY_BYTES = 65_536

Fields = Mapping[str, Any]
View = Callable[[HttpRequest], Coroutine[Any, Any, HttpResponse]]


class RefusedError(Exception):
    """The request is answered with an error in OpenAI's shape.

    Args:
        message: one sentence; never repeats what the client sent.
        param: the field that is wrong, as a path with dots.
    """

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param


def endpoint(answer: Callable[[HttpRequest], Awaitable[Fields]]) -> View:
    """A POST that is answered with JSON, whatever is sent to it."""

    @csrf_exempt
    @wraps(answer)
    async def view(request: HttpRequest) -> HttpResponse:
        response = _preflight(request)
        if response is None:
            try:
                _open_for(request)
                response = JsonResponse(dict(await answer(request)))
            except RefusedError as refused:
                response = refusal(refused)
        response["Cache-Control"] = "no-store"
        return _shared(request, response)

    return view


def _open_for(request: HttpRequest) -> None:
    if "realtime" not in calls_settings().protocols:
        raise RefusedError(404, "not_found", "This protocol is not served here.")
    if request.method != "POST":
        raise RefusedError(405, "method_not_allowed", "Send a POST.")


def refusal(refused: RefusedError) -> HttpResponse:
    kind = "server_error" if refused.status >= 500 else "invalid_request_error"
    error = {
        "message": refused.message,
        "type": kind,
        "param": refused.param,
        "code": refused.code,
    }
    response = JsonResponse({"error": error}, status=refused.status)
    if refused.status == 405:
        response["Allow"] = "POST, OPTIONS"
    if refused.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if refused.status in (429, 503):
        response["Retry-After"] = "5"
    return response


# Bodies


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object in the body; nothing at all counts as an empty one."""
    too_large = RefusedError(413, "request_too_large", f"A body is at most {BODY_BYTES} bytes.")
    try:
        raw = request.read(BODY_BYTES + 1)
        if len(raw) > BODY_BYTES:
            raise too_large
        body = parse_object(raw.decode(), max_bytes=BODY_BYTES) if raw.strip() else {}
    except (UnreadablePostError, UnicodeDecodeError, WireError):
        body = None
    if body is None or not all_storable(body):
        raise RefusedError(400, "invalid_json", "The body is not a JSON object.")
    return body


def object_in(fields: Fields, name: str) -> Fields | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise RefusedError(400, "invalid_type", f"`{name}` must be an object.", name)
    return value


# Pages of other origins


def _preflight(request: HttpRequest) -> HttpResponse | None:
    """What a browser asks before it lets a page of another origin send a key."""
    if request.method != "OPTIONS":
        return None
    response = HttpResponse(status=204)
    response["Allow"] = "POST, OPTIONS"
    if _page_of(request):
        response["Access-Control-Allow-Methods"] = "POST"
        # Headers give no right here, and SDKs send a dozen of their own.
        wanted = request.headers.get("Access-Control-Request-Headers", "")
        response["Access-Control-Allow-Headers"] = _tokens(wanted)
        response["Access-Control-Max-Age"] = "600"
    return response


def _tokens(listed: str) -> str:
    names = [name.strip() for name in listed.split(",")[:50]]
    return ", ".join(name for name in names if name.replace("-", "").isalnum() and name.isascii())


def _shared(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Without these headers a browser keeps the answer from a page of another origin."""
    response["Vary"] = "Origin"
    if origin := _page_of(request):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = "Retry-After"
    return response


def _page_of(request: HttpRequest) -> str:
    """The origin of an allowed page; empty: no page, or not an allowed one."""
    origin = request.headers.get("Origin", "")
    return origin if origin and allowed_origin(scope_of(request)) else ""
