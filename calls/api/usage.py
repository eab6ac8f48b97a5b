"""What a site has used today, beside what it may."""

from django.http import HttpRequest
from ninja import Query, Router

from calls.api.answers import answers
from calls.api.door import ApiError, BearerKey, grant_of
from calls.api.shapes import Limits, OfSite, UsageOut
from calls.conf import calls_settings
from calls.models import OWN_SITE
from calls.store.seen import used_today
from calls.store.sites import SiteNotFoundError, site_get
from calls.store.webhooks import money

router = Router(tags=["usage"])


@router.get(
    "/usage",
    auth=BearerKey("read"),
    response=answers(UsageOut, 404),
    operation_id="get_usage",
    summary="See what a site has used today",
)
def read(request: HttpRequest, wanted: Query[OfSite]) -> UsageOut:
    """Calls that began on this day of UTC, those that go on included. Scope: `read`.

    Keys without a site may name one; they get this server's own otherwise.
    """
    own, site = grant_of(request).site, wanted.site
    if own is not None and site not in ("", own):
        raise ApiError(404, "There is no such site.")
    try:
        found = used_today(site_get(own or site or OWN_SITE).slug)
    except SiteNotFoundError:
        raise ApiError(404, "There is no such site.") from None
    return UsageOut(
        site=found.site,
        day=found.day.date().isoformat(),
        calls=found.calls,
        live_calls=found.live,
        seconds=found.used.ms // 1_000,
        cost=money(found.used.micros),
        currency=calls_settings().currency,
        limits=Limits.model_validate(found.limits) if found.limits else None,
    )
