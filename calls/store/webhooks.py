"""Webhooks: who is told of what, deliveries with what they tell of, and tools that others answer.

A delivery is noted in the transaction of what it tells of, once for each event and webhook however
often that is written. What it says is read when it is sent: an erased call has nothing to say.
"""

import hmac
import json
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from calls.conf import calls_settings
from calls.models import (
    Conversation,
    Summary,
    Webhook,
    WebhookDelivery,
    WebhookEvent,
    WebhookTool,
    WorkState,
)
from calls.store.wakers import wake
from calls.store.work import (
    MOST_ATTEMPTS,
    Lease,
    work_again,
    work_done,
    work_fail,
    work_take,
)

PAUSES_S = (10, 60, 300, 1_800)
"""Between one attempt and the next."""

SECRET_PREFIX = "whsec_"  # noqa: S105 - of Standard Webhooks
GONE = 410
MICROS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A delivery that is ours to send.

    Attributes:
        webhook_id: whose it is.
        event_id: the same at every attempt.
        body: the JSON that is sent.
        secrets: what it is signed with, the current one first.
    """

    lease: Lease
    webhook_id: int
    url: str
    event_id: str
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTerms:
    """A tool that another server answers, as a call takes it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    url: str
    timeout_ms: int
    secrets: tuple[str, ...] = field(repr=False)


def secrets_of(row: Webhook | WebhookTool) -> tuple[str, ...]:
    """What its messages are signed with: by the key in use first, then by those before it."""
    kind = type(row).__name__
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return tuple(_secret(key, f"calls.{kind}.{row.nonce}") for key in keys)


def _secret(key: str | bytes, name: str) -> str:
    key = key.encode() if isinstance(key, str) else key
    made = hmac.new(sha256(b"calls.webhooks" + key).digest(), name.encode(), sha256)
    return SECRET_PREFIX + b64encode(made.digest()).decode()


# Noted


def deliveries_add(event: WebhookEvent, sites: Mapping[str, str], occasion: str = "") -> None:
    """Have the webhooks told of an event of these calls; in the transaction of the event.

    Args:
        sites: slug of the call's site by the call's id.
        occasion: tells one event of a call from another of the same name.
    """
    hooks = [hook for hook in _listening() if event in hook.events] if sites else []
    rows = [
        WebhookDelivery(
            webhook=hook,
            conversation_id=call_id,
            event=event,
            event_id=_event_id(hook, event, call_id, occasion),
        )
        for hook in hooks
        for call_id, site in sites.items()
        if hook.site is None or hook.site.slug == site
    ]
    if rows:
        WebhookDelivery.objects.bulk_create(rows, ignore_conflicts=True)
        transaction.on_commit(partial(wake, "webhooks"))


def _listening() -> Iterable[Webhook]:
    return Webhook.objects.filter(active=True).select_related("site")


def _event_id(hook: Webhook, event: str, call_id: str, occasion: str) -> str:
    """The same whenever the same thing is written again."""
    told = "\n".join((hook.nonce, event, call_id, occasion))
    return f"evt_{sha256(told.encode()).hexdigest()[:32]}"


# Sent


def delivery_take(busy: Collection[int] = ()) -> Outgoing | None:
    """Take on what has been due for the longest time; None: nothing is.

    Args:
        busy: webhooks that have to wait.

    Raises:
        AWAY: the database is away.
    """
    waiting = WebhookDelivery.objects.filter(webhook__active=True).exclude(webhook__in=busy)
    while (lease := work_take(waiting)) is not None:
        if lease.attempt > MOST_ATTEMPTS:
            work_fail(WebhookDelivery, lease, "The last attempt was cut off.")
        elif (outgoing := _outgoing(lease)) is not None:
            return outgoing
    return None


def delivery_note(sent: Outgoing, status: int | None, error: str = "") -> None:
    """Put down what came of it: done, to be tried again, or given up.

    Args:
        status: of the answer; None: there was none, and `error` says why.

    Raises:
        AWAY: the database is away; it will be sent once more.
    """
    lease, error = sent.lease, error or f"status {status}"
    if status is not None and 200 <= status < 300:
        work_done(WebhookDelivery, lease, status=status)
    elif status == GONE:
        _switch_off(sent)
    elif lease.attempt >= MOST_ATTEMPTS:
        work_fail(WebhookDelivery, lease, error, status=status)
    else:
        pause_s = PAUSES_S[lease.attempt - 1]
        work_again(WebhookDelivery, lease, error, after_s=pause_s, status=status)


def delivery_again(delivery: WebhookDelivery) -> None:
    """Have it sent once more, whatever came of it, under the same id."""
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        state=WorkState.PENDING, attempts=0, lease="", lease_until=None, error="", done_at=None
    )
    transaction.on_commit(partial(wake, "webhooks"))


@transaction.atomic
def _switch_off(sent: Outgoing) -> None:
    """The receiver wants no more: neither this one nor those that wait."""
    error = "The receiver says that it is gone."
    if work_fail(WebhookDelivery, sent.lease, error, status=GONE):
        Webhook.objects.filter(pk=sent.webhook_id).update(active=False)
        waiting = WebhookDelivery.objects.filter(webhook=sent.webhook_id, state=WorkState.PENDING)
        waiting.update(state=WorkState.FAILED, lease_until=None, error=error)


def _outgoing(lease: Lease) -> Outgoing | None:
    """None: the call was erased in the meantime."""
    rows = WebhookDelivery.objects.select_related("webhook", "conversation__summary")
    row = rows.filter(pk=lease.pk).first()
    if row is None:
        return None
    return Outgoing(
        lease=lease,
        webhook_id=row.webhook_id,
        url=row.webhook.url,
        event_id=row.event_id,
        body=json.dumps(payload(row), ensure_ascii=False).encode(),
        secrets=secrets_of(row.webhook),
    )


def payload(row: WebhookDelivery) -> dict[str, Any]:
    """What a delivery says, by the rows as they are now; never what was said in the call."""
    call = row.conversation
    data = {
        "call_id": call.call_id,
        "site": call.site_slug,
        "agent": call.agent_slug,
        "caller": call.caller,
        "metadata": call.metadata,
        "protocol": call.protocol,
        "status": call.status,
        "started_at": call.started_at.isoformat(),
        "ended_at": call.ended_at.isoformat() if call.ended_at else None,
        "duration_ms": call.duration_ms,
        "end_reason": call.end_reason,
        "cost": money(call.cost_micros),
        "currency": calls_settings().currency,
        "url": conversation_url(call.call_id),
    }
    if row.event == WebhookEvent.DATA_EXTRACTED:
        data["data"] = _extracted(call)
    return {
        "type": row.event,
        "id": row.event_id,
        "timestamp": row.requested_at.isoformat(),
        "data": data,
    }


def _extracted(call: Conversation) -> Any:
    summary: Summary | None = getattr(call, "summary", None)
    return None if summary is None else summary.extracted


def money(micros: int) -> str:
    """An amount of the currency with all six places: "0.012300"."""
    return f"{micros // MICROS}.{micros % MICROS:06}"


def conversation_url(call_id: str) -> str:
    """Where the API has the conversation; a path alone if the server's address is not set."""
    return f"{calls_settings().public_url}/api/v1/conversations/{call_id}"


# Tools


def tools_answered_elsewhere(names: Collection[str], site: str) -> tuple[ToolTerms, ...]:
    """Those of the named tools that another server answers in calls of this site, by name."""
    if not names:
        return ()
    everywhere_or_here = Q(site=None) | Q(site__slug=site)
    rows = WebhookTool.objects.filter(everywhere_or_here, name__in=names, active=True)
    return tuple(
        ToolTerms(
            name=row.name,
            description=row.description,
            parameters=row.parameters or {"type": "object", "properties": {}},
            url=row.url,
            timeout_ms=row.timeout_ms,
            secrets=secrets_of(row),
        )
        for row in rows
    )
