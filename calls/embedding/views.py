"""The call page, the page in frames of sites, and the script that makes such frames."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import condition, require_safe

from calls.conf import calls_settings
from calls.embedding.element import (
    element,
    problem,
    site_token,
    token_answer,
    visitor_token,
    wants_token,
)
from calls.embedding.finding import NotShownError, Shown, find
from calls.embedding.headers import NOBODY, framed_by, framers, page_headers
from calls.models import OWN_SITE
from calls.origins import own_origin
from calls.store.agents import AgentNotFoundError, agent_get
from calls.store.sites import site_get

SCRIPT = "calls/embed.js"
SCRIPT_SECONDS = 300


@require_safe
def call_page(request: HttpRequest, slug: str = "") -> HttpResponse:
    """The page on which a person talks with the agent; without a slug the default one."""
    try:
        agent = agent_get(slug or calls_settings().default_agent)
    except AgentNotFoundError:
        raise Http404("There is no such agent.") from None
    token = visitor_token(request, site_get(OWN_SITE), agent)
    if wants_token(request):
        return token_answer(request, token)
    path = reverse("calls:call", args=[agent.slug])
    context = element(agent, token=token, token_path=path)
    return page_headers(render(request, "calls/call.html", context))


@require_safe
def embed_page(request: HttpRequest, agent: str, site: str = "") -> HttpResponse:
    """The call in a frame. Neither reads nor sets a cookie: in frames there are none."""
    origin = request.GET.get("origin", "")
    try:
        shown = find(
            agent=agent,
            site=site or request.GET.get("site", ""),
            origin=origin,
            own=own_origin(request),
        )
    except NotShownError as error:
        return _not_shown(request, error, origin)
    token = site_token(shown.site, shown.agent, shown.host_origin)
    if wants_token(request):
        return token_answer(request, token)
    context = element(shown.agent, token=token, token_path=_token_path(shown))
    context |= {"site": shown.site.slug, "host_origin": shown.host_origin}
    context |= {"token_wanted": token is None}
    response = page_headers(render(request, "calls/embed.html", context))
    return framed_by(response, framers(shown.site))


def _token_path(shown: Shown) -> str:
    path = reverse("calls:embed_of_site", args=[shown.site.slug, shown.agent.slug])
    return f"{path}?{urlencode({'origin': shown.host_origin})}" if shown.host_origin else path


def _not_shown(request: HttpRequest, error: NotShownError, origin: str) -> HttpResponse:
    if wants_token(request):
        return problem(error.problem, error.status)
    context = {"problem": error.problem, "remedy": error.remedy, "origin": origin[:200]}
    if context["origin"] in error.problem:
        context["origin"] = ""
    response = render(request, "calls/embed_refused.html", context, status=error.status)
    return framed_by(page_headers(response), NOBODY)


def _script_etag(_request: HttpRequest) -> str | None:
    script = _script()
    return f'"{sha256(script).hexdigest()[:20]}"' if script else None


@require_safe
@condition(etag_func=_script_etag)
def embed_script(_request: HttpRequest) -> HttpResponse:
    """The script under a name that never changes, for pages of others.

    Raises:
        Http404: the static files lack it.
    """
    script = _script()
    if script is None:
        raise Http404("The script is not here.")
    response = HttpResponse(script, content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = f"public, max-age={SCRIPT_SECONDS}"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


def _script() -> bytes | None:
    found = finders.find(SCRIPT)
    if not found:
        return None
    path = Path(str(found))
    return _read(path, path.stat().st_mtime_ns)


@cache
def _read(path: Path, _changed_ns: int) -> bytes:
    return path.read_bytes()
