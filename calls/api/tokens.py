"""Tokens: a site's server asks for one, its page opens a call with it."""

from decimal import Decimal

from django.http import HttpRequest
from ninja import Router, Status

from calls.api.answers import answers
from calls.api.door import ApiError, BearerKey, grant_of
from calls.api.shapes import TokenIn, TokenOut
from calls.conf import calls_settings
from calls.models import OWN_SITE
from calls.store.agents import AgentNotFoundError, agent_get
from calls.store.keys import Grant
from calls.store.sites import MICROS, SiteNotFoundError, SiteTerms, site_get
from calls.store.tokens import MOST_SECONDS, Minted, token_mint
from calls.store.visits import Caps

router = Router(tags=["tokens"])
RESPONSE = answers(TokenOut, 404, status=201, body=True)


def mint(request: HttpRequest, wanted: TokenIn) -> Status[TokenOut]:
    """Make a token: it opens one call with this agent, soon. Scope: `tokens`.

    The key's site is who calls; a key without a site makes tokens of this server's own. What the
    agent and the site limit holds as well.
    """
    site = _site(grant_of(request))
    _callable(grant_of(request), site, wanted.agent)
    try:
        minted = _minted(site, wanted)
    except ValueError as wrong:
        raise ApiError(422, str(wrong)) from None
    return Status(201, TokenOut(token=minted.value, expires_in=token_seconds()))


router.post(
    "/tokens",
    auth=BearerKey("tokens"),
    response=RESPONSE,
    operation_id="create_token",
    summary="Make a token",
)(mint)


def _site(grant: Grant) -> SiteTerms:
    try:
        site = site_get(grant.site or OWN_SITE)
    except SiteNotFoundError:
        raise ApiError(403, "The key's site is gone.", "site_off") from None
    if not site.active:
        raise ApiError(403, "The key's site is switched off.", "site_off")
    return site


def _callable(grant: Grant, site: SiteTerms, slug: str) -> None:
    try:
        agent_get(slug)
    except AgentNotFoundError:
        raise ApiError(404, "There is no such agent.", "no_such_agent") from None
    if not grant.allows(slug) or not site.allows(slug):
        raise ApiError(404, "There is no such agent.", "no_such_agent")


def token_seconds() -> int:
    return min(calls_settings().token_seconds, MOST_SECONDS)


def _minted(site: SiteTerms, wanted: TokenIn) -> Minted:
    """Raises ValueError."""
    seconds, cost = wanted.max_call_seconds, wanted.max_cost
    return token_mint(
        site=site.slug,
        agent=wanted.agent,
        caller=wanted.caller,
        metadata=wanted.metadata,
        caps=Caps(
            max_call_ms=None if seconds is None else seconds * 1_000,
            max_cost_micros=None if cost is None else int(cost * Decimal(MICROS)),
        ),
        origin=wanted.origin,
    )
