"""What is copied into a page to have an agent's call in it."""

from dataclasses import dataclass

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import escape

from calls.conf import calls_settings
from calls.models import OWN_SITE, Agent, Site
from calls.origins import FILE_ORIGIN
from calls.store.sites import SiteTerms, site_terms

ALLOW = "microphone; autoplay; speaker-selection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippets:
    """The ways for one site.

    Attributes:
        shown_to: the origins of its pages, for a person.
        frame: empty: the site's server has to hand over tokens, which a plain frame cannot take.
    """

    site: Site
    shown_to: tuple[str, ...]
    element: str
    frame: str


def snippets(agent: Agent, request: HttpRequest) -> tuple[Snippets, ...]:
    """For each active site that may call the agent; none where the project shows no such pages."""
    try:
        script = reverse("calls:embed_script")
    except NoReverseMatch:
        return ()
    base = calls_settings().public_url or request.build_absolute_uri("/").rstrip("/")
    sites = Site.objects.filter(active=True).exclude(slug=OWN_SITE)
    known = [(row, site_terms(row)) for row in sites]
    ours = [(row, terms) for row, terms in known if terms.allows(agent.slug)]
    return tuple(
        Snippets(
            site=row,
            shown_to=tuple(sorted(map(_named, terms.origins))),
            element=_element(agent, row, base + script, _alone(terms, [each for _, each in known])),
            frame=_frame(agent, row, base) if row.public else "",
        )
        for row, terms in ours
    )


def _named(origin: str) -> str:
    return "files opened from a disk" if origin == FILE_ORIGIN else origin


def _alone(site: SiteTerms, sites: list[SiteTerms]) -> bool:
    """Whether the page's origin is enough to tell the site."""
    return not any(site.origins & other.origins for other in sites if other.site_id != site.site_id)


def _element(agent: Agent, site: Site, script: str, alone: bool) -> str:
    named = f'<voice-call agent="{agent.slug}"'
    if not alone:
        named += f' site="{site.slug}"'
    if not site.public:
        named += ' token-url="/call-token"'
    return f'<script src="{escape(script)}" async></script>\n{named}></voice-call>'


def _frame(agent: Agent, site: Site, base: str) -> str:
    address = base + reverse("calls:embed_of_site", args=[site.slug, agent.slug])
    return (
        f'<iframe src="{escape(address)}"\n  title="{escape(agent.name)}" '
        f'allow="{ALLOW}"\n  width="400" height="600"></iframe>'
    )
