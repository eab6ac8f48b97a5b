"""The call page, and what a supervisor asks."""

from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from calls import wiring
from calls.conf import calls_settings
from calls.store.agents import AgentNotFoundError, agent_get


@require_safe
def call_page(request: HttpRequest, slug: str = "") -> HttpResponse:
    """The page on which a person talks with the agent; without a slug the default one."""
    try:
        agent = agent_get(slug or calls_settings().default_agent)
    except AgentNotFoundError:
        raise Http404("There is no such agent.") from None
    context = {
        "agent": agent,
        "notice": wiring.notice(agent),
        "recording": agent.recorded,
        "ws_path": f"/ws/call/{agent.slug}/",
    }
    response = render(request, "calls/call.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def livez(_request: HttpRequest) -> HttpResponse:
    """The process answers; says nothing of what it depends on."""
    return JsonResponse({"alive": True})


@require_safe
def readyz(_request: HttpRequest) -> HttpResponse:
    """Whether a new call may come here: 200, or 503 with what is missing."""
    checks = {"database": _database_answers(), "accepting": wiring.accepting()}
    return JsonResponse(checks, status=200 if all(checks.values()) else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True
