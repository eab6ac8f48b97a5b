"""Which site's page it is that wants to show a call, and whether it may."""

from dataclasses import dataclass

from calls.models import OWN_SITE
from calls.origins import origin_of
from calls.store.agents import AgentNotFoundError, AgentSettings, agent_get
from calls.store.sites import SiteNotFoundError, SiteTerms, site_get, sites_with


@dataclass(frozen=True, slots=True)
class Shown:
    """A call that a page may show.

    Attributes:
        host_origin: of the page around the frame; empty: it is not known.
    """

    agent: AgentSettings
    site: SiteTerms
    host_origin: str


class NotShownError(Exception):
    """It may not.

    Args:
        status: of HTTP, 403 or 404.
        problem: what is wrong, for the developer of the page; holds what was asked for.
        remedy: what to do about it.
    """

    def __init__(self, status: int, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.status, self.problem, self.remedy = status, problem, remedy


def find(*, agent: str, site: str, origin: str, own: str) -> Shown:
    """What is shown to a frame that was asked for like this.

    Args:
        site: slug; empty: the site that lists `origin`.
        origin: as the page around the frame names itself; empty: it does not.
        own: this server's origin.

    Raises:
        NotShownError: the page may not show that call.
        DatabaseError: the database cannot be asked.
    """
    named = _named(origin)
    if not site and not named:
        remedy = "Add ?origin= with the origin of the page, or ?site= with the site's name."
        raise NotShownError(404, "The address names neither a site nor an origin.", remedy)
    terms = _site(site, named, own) if site else _site_of(named, own, agent)
    settings = _agent(agent, terms)
    known = sorted(terms.origins)
    return Shown(settings, terms, named or (known[0] if len(known) == 1 else ""))


def _named(origin: str) -> str:
    named = origin_of(origin) if origin else ""
    if named is None:
        remedy = "An origin is scheme, host and port: https://www.example.com."
        raise NotShownError(403, f"“{origin[:200]}” is no origin.", remedy)
    return named


def _site(slug: str, origin: str, own: str) -> SiteTerms:
    try:
        terms = site_get(slug)
    except SiteNotFoundError:
        remedy = "Compare its name with the list of sites in the admin."
        raise NotShownError(404, f"There is no site “{slug}”.", remedy) from None
    if not terms.active:
        remedy = "It can be switched on again in the admin."
        raise NotShownError(404, f"The site “{slug}” is switched off.", remedy)
    if origin and origin not in terms.origins and not (slug == OWN_SITE and origin == own):
        raise _foreign(origin, f"of the site “{slug}”")
    return terms


def _site_of(origin: str, own: str, agent: str) -> SiteTerms:
    """The first that has the agent; else the first, for the sake of what is said then."""
    if origin == own:
        return _site(OWN_SITE, origin, own)
    sites = list(sites_with(origin))
    if not sites:
        raise _foreign(origin, "of an active site")
    return next((site for site in sites if site.allows(agent)), sites[0])


def _foreign(origin: str, whose: str) -> NotShownError:
    problem = f"Pages of “{origin}” may not show this call."
    return NotShownError(403, problem, f"In the admin, add it to the origins {whose}.")


def _agent(slug: str, site: SiteTerms) -> AgentSettings:
    try:
        agent = agent_get(slug)
    except AgentNotFoundError:
        remedy = "Compare its slug with the list of agents in the admin."
        raise NotShownError(404, f"There is no active agent “{slug}”.", remedy) from None
    if not site.allows(slug):
        problem = f"The site “{site.slug}” has no agent “{slug}”."
        raise NotShownError(404, problem, "In the admin, add the agent to the site.")
    return agent
