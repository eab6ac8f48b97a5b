"""Webhooks: who is told of calls."""

from collections.abc import Iterable

from django.http import HttpRequest
from ninja import Path, Router, Status

from calls.api.answers import answers
from calls.api.door import ApiError, BearerKey, grant_of
from calls.api.shapes import (
    SecretOut,
    WebhookIn,
    WebhookMade,
    WebhookOut,
    WebhookPatch,
    Webhooks,
)
from calls.conf import calls_settings
from calls.models import Site, Webhook
from calls.models.text import LARGEST_INTEGER
from calls.providers.webhooks.addresses import ForbiddenAddressError, url_check
from calls.store.keys import Grant
from calls.store.seen import webhooks_seen
from calls.store.webhooks import secrets_of

router = Router(tags=["webhooks"])


@router.get(
    "/webhooks",
    auth=BearerKey("webhooks"),
    response=answers(Webhooks),
    operation_id="list_webhooks",
    summary="List the webhooks",
)
def listed(request: HttpRequest) -> Webhooks:
    """Those of the key's site; of a key without a site, all. Scope: `webhooks`."""
    return Webhooks(data=[_shown(row) for row in webhooks_seen(grant_of(request))])


@router.post(
    "/webhooks",
    auth=BearerKey("webhooks"),
    response=answers(WebhookMade, status=201, body=True),
    operation_id="create_webhook",
    summary="Make a webhook",
)
def made(request: HttpRequest, wanted: WebhookIn) -> Status[WebhookMade]:
    """It is told of what happens to the calls of the key's site from now on. Scope: `webhooks`."""
    _checked(wanted.url)
    row = Webhook.objects.create(
        site=_site(grant_of(request)),
        url=wanted.url,
        events=_once(wanted.events),
        active=wanted.active,
    )
    row.refresh_from_db()
    shown = WebhookMade(**_shown(row).model_dump(), secret=secrets_of(row)[0])
    return Status(201, shown)


@router.get(
    "/webhooks/{webhook_id}",
    auth=BearerKey("webhooks"),
    response=answers(WebhookOut, 404),
    operation_id="get_webhook",
    summary="Read a webhook",
)
def read(request: HttpRequest, webhook_id: Path[int]) -> WebhookOut:
    """Without its secret. Scope: `webhooks`."""
    return _shown(_row(grant_of(request), webhook_id))


@router.get(
    "/webhooks/{webhook_id}/secret",
    auth=BearerKey("webhooks"),
    response=answers(SecretOut, 404),
    operation_id="get_webhook_secret",
    summary="See what a webhook is signed with",
)
def secret(request: HttpRequest, webhook_id: Path[int]) -> SecretOut:
    """The secret in use; it changes with the server's own key. Scope: `webhooks`."""
    return SecretOut(secret=secrets_of(_row(grant_of(request), webhook_id))[0])


@router.patch(
    "/webhooks/{webhook_id}",
    auth=BearerKey("webhooks"),
    response=answers(WebhookOut, 404, body=True),
    operation_id="change_webhook",
    summary="Change a webhook",
)
def changed(request: HttpRequest, webhook_id: Path[int], wanted: WebhookPatch) -> WebhookOut:
    """What is left out stays as it is. Scope: `webhooks`."""
    row = _row(grant_of(request), webhook_id)
    if wanted.url is not None:
        _checked(wanted.url)
        row.url = wanted.url
    if wanted.events is not None:
        row.events = _once(wanted.events)
    if wanted.active is not None:
        row.active = wanted.active
    row.save(update_fields=["url", "events", "active"])
    return _shown(row)


@router.delete(
    "/webhooks/{webhook_id}",
    auth=BearerKey("webhooks"),
    response=answers(None, 404, status=204),
    operation_id="delete_webhook",
    summary="Delete a webhook",
)
def deleted(request: HttpRequest, webhook_id: Path[int]) -> Status[None]:
    """With what still waited to be sent. Scope: `webhooks`."""
    _row(grant_of(request), webhook_id).delete()
    return Status(204, None)


def _row(grant: Grant, webhook_id: int) -> Webhook:
    known = 0 <= webhook_id <= LARGEST_INTEGER
    row = webhooks_seen(grant).filter(pk=webhook_id).first() if known else None
    if row is None:
        raise ApiError(404, "There is no such webhook.")
    return row


def _site(grant: Grant) -> Site | None:
    return None if grant.site is None else Site.objects.get(slug=grant.site)


def _checked(url: str) -> None:
    try:
        url_check(url, private=calls_settings().webhooks_to_private)
    except ForbiddenAddressError as error:
        raise ApiError(422, f"url: {error}", "bad_url") from None


def _once(events: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(str(event) for event in events))


def _shown(row: Webhook) -> WebhookOut:
    return WebhookOut(
        id=row.pk,
        site=None if row.site is None else row.site.slug,
        url=row.url,
        events=row.events,
        active=row.active,
        created_at=row.created_at,
    )
