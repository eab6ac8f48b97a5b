"""Deliveries arrive, whatever the receiver is like, and it can tell what it has had before."""

import asyncio
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings as project
from django.db import connection

from calls.models import Site, Webhook, WebhookDelivery, WebhookEvent, WorkState
from calls.store.database import in_database
from calls.store.webhooks import (
    PAUSES_S,
    deliveries_add,
    delivery_again,
    delivery_note,
    delivery_take,
    secrets_of,
)
from calls.wiring import webhooks
from calls.wiring.webhooks import MOST_PER_WEBHOOK, deliveries_run_due
from tests import needs
from tests.doubles.receiver import Receiver
from tests.doubles.receiver import receiver as receiving
from tests.store.factories import demo_conversation
from tests.webhooks.verifying import genuine

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]

ENDED = WebhookEvent.CALL_ENDED
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def call(own_folders, transactional_db):
    return demo_conversation("call-1", sound=False)


def happen(*call_ids: str, event: WebhookEvent = ENDED) -> None:
    deliveries_add(event, dict.fromkeys(call_ids or ("call-1",), "own"))


def due_again() -> int:
    """Let the pause before the next attempt be over."""
    waiting = WebhookDelivery.objects.filter(state__in=("pending", "running"))
    return waiting.exclude(lease_until=None).update(lease_until="2026-01-01T00:00Z")


def only() -> WebhookDelivery:
    return WebhookDelivery.objects.select_related("webhook").get()


async def made(function, *args, **kwargs):
    return await in_database(function, *args, **kwargs)


async def test_it_arrives_signed(receiver: Receiver, webhook):
    hook = await made(webhook)
    await made(happen)
    assert await deliveries_run_due() == 1
    (got,) = receiver.received
    row = await made(only)
    assert (row.state, row.status, row.attempts) == (WorkState.DONE, 200, 1)
    assert got.json["type"] == "call.ended"
    assert got.json["id"] == got.message_id == row.event_id
    assert got.json["data"]["call_id"] == "call-1"
    assert got.headers["content-type"] == "application/json"
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 30
    assert genuine(got, secrets_of(hook)[0])
    assert not genuine(got, secrets_of(Webhook(nonce="another"))[0])
    assert await deliveries_run_due() == 0


async def test_a_changed_body_is_noticed(receiver: Receiver, webhook):
    hook = await made(webhook)
    await made(happen)
    await deliveries_run_due()
    (got,) = receiver.received
    forged = type(got)(got.path, got.headers, got.body.replace(b"own", b"0wn"))
    assert not genuine(forged, secrets_of(hook)[0])
    later = {**got.headers, "webhook-timestamp": "1"}
    assert not genuine(type(got)(got.path, later, got.body), secrets_of(hook)[0])


async def test_after_a_rotation_both_secrets_verify(receiver: Receiver, webhook, settings):
    hook = await made(webhook)
    before = secrets_of(hook)[0]
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    await made(happen)
    await deliveries_run_due()
    (got,) = receiver.received
    after = secrets_of(hook)[0]
    assert before != after
    assert genuine(got, before)
    assert genuine(got, after)


async def test_a_receiver_that_is_down_gets_it_once_it_is_up(webhook):
    with receiving() as gone:
        port = gone.port
    hook = await made(webhook, url=f"http://127.0.0.1:{port}/ok")
    await made(happen)
    await deliveries_run_due()
    row = await made(only)
    assert (row.state, row.error, row.status) == (WorkState.PENDING, "refused", None)
    assert row.lease_until is not None, "it waits"
    assert await deliveries_run_due() == 0, "and is not tried before"
    with receiving(port) as back:
        await made(due_again)
        assert await deliveries_run_due() == 1
        (got,) = back.received
    row = await made(only)
    assert (row.state, row.attempts, row.event_id) == (WorkState.DONE, 2, got.message_id)
    assert genuine(got, secrets_of(hook)[0])


async def test_it_is_tried_five_times_with_growing_pauses_under_one_id(receiver, webhook):
    await made(webhook, "/status/500")
    await made(happen)
    pauses = []
    for _ in range(7):
        await deliveries_run_due()
        row = await made(only)
        if row.state == WorkState.PENDING:
            pauses.append(await made(_pause_s))
        await made(due_again)
    assert [round(pause) for pause in pauses] == list(PAUSES_S)
    assert list(PAUSES_S) == sorted(PAUSES_S)
    assert (row.state, row.status, row.error) == (WorkState.FAILED, 500, "status 500")
    assert len(receiver.received) == 5
    assert {got.message_id for got in receiver.received} == {row.event_id}
    await made(delivery_again, row)
    await made(WebhookDelivery.objects.update, requested_at=row.requested_at)
    await made(Webhook.objects.update, url=receiver.url + "/ok")
    assert await deliveries_run_due() == 1
    assert receiver.received[-1].message_id == row.event_id
    assert (await made(only)).state == WorkState.DONE


def _pause_s() -> float:
    from django.db.models.functions import Now

    row = WebhookDelivery.objects.annotate(now=Now()).get()
    return (row.lease_until - row.now).total_seconds()


@pytest.mark.parametrize(
    ("path", "state", "status", "error"),
    [
        ("/unread", "done", 200, ""),
        ("/cut", "done", 200, ""),
        ("/endless", "done", 200, ""),
        ("/status/204", "done", 204, ""),
        ("/status/500", "pending", 500, "status 500"),
        ("/status/404", "pending", 404, "status 404"),
        ("/redirect", "pending", 307, "status 307"),
        ("/garbage", "pending", None, "broken"),
        ("/silent", "pending", None, "broken"),
        ("/headers", "pending", None, "broken"),
    ],
)
async def test_liars(receiver: Receiver, webhook, path, state, status, error):
    await made(webhook, path)
    await made(happen)
    assert await deliveries_run_due() == 1
    row = await made(only)
    assert (row.state, row.status, row.error) == (state, status, error)
    assert len(receiver.received) == 1, "a redirect is not followed"
    assert receiver.endless_bytes < 8_000_000, "and is not read to an end that there is none of"


async def test_one_that_is_gone_is_told_no_more(receiver: Receiver, webhook):
    gone, stays = await made(webhook, "/status/410"), await made(webhook)
    for event in (ENDED, WebhookEvent.SUMMARY_READY, WebhookEvent.DATA_EXTRACTED):
        await made(happen, event=event)
    await deliveries_run_due()
    rows = await made(lambda: list(WebhookDelivery.objects.values_list("webhook", "state")))
    assert {state for hook, state in rows if hook == gone.pk} == {"failed"}
    assert {state for hook, state in rows if hook == stays.pk} == {"done"}
    assert len(receiver.until(1, "/status")) <= MOST_PER_WEBHOOK
    await made(gone.refresh_from_db)
    assert not gone.active


async def test_a_slow_receiver_holds_up_nobody(receiver: Receiver, webhook):
    slow, _ = await made(webhook, "/hang"), await made(webhook)
    events = list(WebhookEvent)
    for event in events:
        await made(happen, event=event)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(deliveries_run_due())
        await asyncio.to_thread(receiver.until, len(events), "/ok")
        await asyncio.to_thread(receiver.until, MOST_PER_WEBHOOK, "/hang")
        await made(demo_conversation, "call-2", sound=False)
        await asyncio.to_thread(receiver.until, len(events) + 1, "/ok")
        assert len(receiver.until(0, "/hang")) == MOST_PER_WEBHOOK, "bounded for each webhook"
        assert not running.done()
        receiver.release()
    assert len(receiver.until(len(events) + 1, "/hang")) == len(events) + 1
    states = await made(lambda: set(WebhookDelivery.objects.values_list("state", flat=True)))
    assert states == {"done"}
    assert slow.active


async def test_one_that_never_answers_is_left(receiver: Receiver, webhook, monkeypatch):
    monkeypatch.setattr(webhooks, "WITHIN_MS", 200)
    await made(webhook, "/hang")
    await made(happen)
    await deliveries_run_due()
    row = await made(only)
    assert (row.state, row.error) == ("pending", "timeout")


async def test_private_addresses_are_refused_unless_allowed(receiver, webhook, settings):
    settings.CALLS = settings.CALLS | {"WEBHOOKS_TO_PRIVATE": False}
    https = receiver.url.replace("http:", "https:")
    for url in (receiver.url, https, https.replace("127.0.0.1", "localhost")):
        await made(webhook, url=url)
    await made(happen)
    assert await deliveries_run_due() == 3
    rows = await made(lambda: list(WebhookDelivery.objects.values_list("state", "error")))
    assert rows == [("pending", "forbidden")] * 3
    assert receiver.connections == 0


async def test_a_webhook_of_a_site_hears_of_that_site(receiver: Receiver, webhook):
    shop = await made(Site.objects.create, slug="shop", name="Shop")
    await made(webhook, site=shop)
    await made(happen)
    assert await deliveries_run_due() == 0
    await made(deliveries_add, ENDED, {"call-1": "shop"})
    assert await deliveries_run_due() == 1


async def test_one_that_is_switched_off_waits(receiver: Receiver, webhook):
    await made(webhook)
    await made(happen)
    await made(Webhook.objects.update, active=False)
    assert await deliveries_run_due() == 0
    await made(Webhook.objects.update, active=True)
    assert await deliveries_run_due() == 1


async def test_a_delivery_whose_lease_was_lost_notes_nothing(receiver: Receiver, webhook):
    await made(webhook)
    await made(happen)
    taken = await made(delivery_take)
    await made(due_again)
    again = await made(delivery_take)
    assert taken.event_id == again.event_id
    await made(delivery_note, taken, 500)
    assert (await made(only)).state == WorkState.RUNNING
    await made(delivery_note, again, 200)
    assert (await made(only)).state == WorkState.DONE


async def test_a_worker_killed_before_it_could_note_it_sends_the_same_again(receiver, webhook):
    if connection.vendor != "sqlite":
        pytest.skip("the other process is given a file")
    hook = await made(webhook, "/hang")
    await made(happen)
    environment = needs.as_deployed(
        DJANGO_SETTINGS_MODULE="voiceapp.settings",
        DATABASE_URL=f"sqlite:///{connection.settings_dict['NAME']}",
        SECRET_KEY=project.SECRET_KEY,
        WEBHOOKS_TO_PRIVATE="true",
        PYTHONPATH=str(ROOT),
    )
    script = str(Path(__file__).with_name("sender.py"))
    sender = await asyncio.create_subprocess_exec(sys.executable, script, cwd=ROOT, env=environment)
    try:
        await asyncio.to_thread(receiver.until, 1)
    finally:
        sender.kill()
        await sender.wait()
    row = await made(only)
    assert (row.state, row.attempts) == (WorkState.RUNNING, 1)
    assert await deliveries_run_due() == 0, "the lease is the dead one's still"
    receiver.release()
    await made(due_again)
    assert await deliveries_run_due() == 1
    first, second = receiver.received
    assert first.message_id == second.message_id == row.event_id
    assert genuine(first, secrets_of(hook)[0])
    assert (await made(only)).state == WorkState.DONE
