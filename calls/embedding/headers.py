"""What a browser is told about framing a page: by whom, and with which devices."""

from collections.abc import Sequence

from django.conf import settings
from django.http import HttpResponse

from calls.models import OWN_SITE
from calls.origins import FILE_ORIGIN
from calls.store.sites import SiteTerms

NOBODY = ("'none'",)
DEVICES = "microphone=(self), camera=(), geolocation=()"


def framers(site: SiteTerms) -> Sequence[str]:
    """Who may frame the site's calls, as `frame-ancestors` names them."""
    named = sorted("file:" if origin == FILE_ORIGIN else origin for origin in site.origins)
    own = ["'self'"] if site.slug == OWN_SITE else []
    return own + named or NOBODY


def framed_by(response: HttpResponse, sources: Sequence[str]) -> HttpResponse:
    """Have browsers show the page in frames of these sources alone."""
    if any(name.startswith("csp.") for name in settings.MIDDLEWARE):
        response._csp_replace = {"frame-ancestors": list(sources)}  # type: ignore[attr-defined]
    else:
        response["Content-Security-Policy"] = f"frame-ancestors {' '.join(sources)}"
    if tuple(sources) == NOBODY:
        response["X-Frame-Options"] = "DENY"
    else:
        # The old header knows no list; browsers that know the new one ignore it anyway.
        response.xframe_options_exempt = True
    return response


def page_headers(response: HttpResponse) -> HttpResponse:
    """What every page with a token in it says."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "same-origin"
    response["Permissions-Policy"] = DEVICES
    return response
