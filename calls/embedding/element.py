"""The element that a call is drawn by: what it is told, and its tokens."""

from typing import Any

from django.http import HttpRequest, JsonResponse

from calls import wiring
from calls.store.agents import AgentSettings
from calls.store.sites import SiteTerms
from calls.store.tokens import Minted, token_mint

PAGE, JSON = "text/html", "application/json"
SAME_ORIGIN = ("same-origin", "none")
"""`Sec-Fetch-Site` of our own pages, and of whoever types the address."""


def element(agent: AgentSettings, *, token: Minted | None, token_path: str) -> dict[str, Any]:
    """What `calls/element.html` shows; `token_path` gives fresh tokens, as JSON."""
    return {
        "agent": agent,
        "notice": wiring.notice(agent),
        "recording": agent.recorded,
        "ws_path": f"/ws/call/{agent.slug}/",
        "token": token.value if token else "",
        "token_expires_in": token.seconds if token else 0,
        "token_path": token_path,
    }


def site_token(site: SiteTerms, agent: AgentSettings, origin: str = "") -> Minted | None:
    """For whoever opens a page of the site; None: only its server can ask for one."""
    if not site.public:
        return None
    return token_mint(site=site.slug, agent=agent.slug, origin=origin)


def visitor_token(request: HttpRequest, site: SiteTerms, agent: AgentSettings) -> Minted | None:
    """For a page of this server: who is logged in calls as themselves.

    None: the site is not public, and the visitor a stranger.
    """
    user = getattr(request, "user", None)
    known = user is not None and user.is_authenticated
    if not known and not site.public:
        return None
    user_id = user.pk if known and user is not None else None
    return token_mint(site=site.slug, agent=agent.slug, user_id=user_id)


def wants_token(request: HttpRequest) -> bool:
    """Whether the request asks for a fresh token instead of the page."""
    return request.get_preferred_type([PAGE, JSON]) == JSON


def token_answer(request: HttpRequest, token: Minted | None) -> JsonResponse:
    """`{"token", "expires_in"}`, in seconds; 403 for pages of others, and where none is given."""
    if request.headers.get("Sec-Fetch-Site", SAME_ORIGIN[0]) not in SAME_ORIGIN:
        return problem("Only the page itself gets its tokens.", 403)
    if token is None:
        return problem("Tokens for this site are made by its own server, with a key.", 403)
    return _unkept(JsonResponse({"token": token.value, "expires_in": token.seconds}))


def problem(message: str, status: int) -> JsonResponse:
    return _unkept(JsonResponse({"error": message}, status=status))


def _unkept(response: JsonResponse) -> JsonResponse:
    response["Cache-Control"] = "no-store"
    response["Vary"] = "Accept, Sec-Fetch-Site"
    return response
