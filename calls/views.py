"""What a supervisor asks."""

import hmac

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from calls import wiring
from calls.conf import calls_settings
from calls.store.probe import database_answers
from calls.wiring import gauges

DATABASE_WITHIN_S = 1.5


@require_safe
def livez(_request: HttpRequest) -> HttpResponse:
    """The process answers; says nothing of what it depends on, and touches none of it."""
    return JsonResponse({"alive": True})


@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Whether a new call may come here: 200, or 503 with what is missing; within two seconds."""
    checks = {
        "database": database_answers(DATABASE_WITHIN_S),
        "accepting": wiring.accepting(),
        "draining": wiring.registry().draining,
    }
    ready = checks["database"] and checks["accepting"]
    return JsonResponse(checks, status=200 if ready else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, for whoever has the token.

    Raises:
        Http404: the settings name no token.
    """
    wanted = calls_settings().metrics_token
    if not wanted:
        raise Http404
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(errors="replace"), f"Bearer {wanted}".encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    found = gauges.exposition()
    return HttpResponse(
        found, content_type=gauges.CONTENT_TYPE, headers={"Cache-Control": "no-store"}
    )
