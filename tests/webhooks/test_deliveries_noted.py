"""What happens to a call is noted for each webhook that wants to know, once, or not at all."""

import pytest
import pytest_asyncio
from django.db import transaction

from calls.domain.errors import EndReason
from calls.models import Conversation, Site, Summary, Webhook, WebhookDelivery, WebhookEvent
from calls.ports.summary import SummaryDraft
from calls.store.database import in_database
from calls.store.reaper import reap
from calls.store.summaries import Summarizers, summaries_run_due, summary_request
from calls.store.units import unit_finish
from calls.store.webhooks import deliveries_add, delivery_take, payload
from calls.store.writing import units_write
from tests.store.factories import demo_conversation, opened

ENDED = WebhookEvent.CALL_ENDED


def told(call_id: str = "") -> list[str]:
    rows = WebhookDelivery.objects.order_by("pk")
    if call_id:
        rows = rows.filter(conversation=call_id)
    return [row.event for row in rows]


class Writer:
    """Summarises anything the same way, and finds the same data in it."""

    name = "writer"

    async def summarize(self, items, *, language):
        return SummaryDraft(
            title="T", summary="S", key_points=[], next_steps=[], outcome="", language="en"
        )

    async def extract(self, items, *, schema, language):
        return {"name": "Anna"}


def writers(_agent):
    return Summarizers(model=None, extractive=Writer(), extractor=Writer())


@pytest.mark.django_db(transaction=True)
@pytest.mark.asyncio
class TestTheCallItself:
    @pytest_asyncio.fixture(autouse=True)
    async def hook(self, webhook):
        await in_database(webhook)

    async def test_its_beginning_and_its_end(self):
        records = await opened("call-1")
        assert await in_database(told) == ["call.started"]
        await records.finish(EndReason.AGENT_ENDED, duration_ms=1_000)
        finish = unit_finish("call-1", EndReason.AGENT_ENDED, duration_ms=1_000)
        for _ in range(3):
            assert await in_database(units_write, [finish, finish]) == []
        assert await in_database(told) == ["call.started", "call.ended"]

    async def test_an_end_that_was_guessed_and_then_known_is_told_once(self):
        await opened("call-1")
        stale = {"heartbeat_at": "2026-01-01T00:00Z", "owner": "a:1:1:gone"}
        await in_database(Conversation.objects.update, **stale)
        await in_database(reap)
        assert await in_database(told) == ["call.started", "call.ended"]
        finish = unit_finish("call-1", EndReason.CALLER_HUNG_UP, duration_ms=1_000)
        await in_database(units_write, [finish])
        assert await in_database(told) == ["call.started", "call.ended"]
        row = await in_database(Conversation.objects.get)
        assert row.end_reason == EndReason.CALLER_HUNG_UP

    async def test_its_summary_and_its_data(self):
        await in_database(demo_conversation, "call-1", sound=False)
        await in_database(Summary.objects.update, state="pending")
        assert await summaries_run_due(writers) == 1
        first = await in_database(told)
        assert first == ["call.ended", "summary.ready", "data.extracted"]
        row = await in_database(Conversation.objects.get)
        await in_database(summary_request, row)
        assert await summaries_run_due(writers) == 1
        again = await in_database(told)
        assert again == [*first, "summary.ready", "data.extracted"], "it was asked for anew"

    async def test_a_summary_whose_lease_was_lost_tells_nothing(self):
        await in_database(demo_conversation, "call-1", sound=False)
        await in_database(Summary.objects.update, state="pending")

        class Thief(Writer):
            async def summarize(self, items, *, language):
                await in_database(Summary.objects.update, lease="another")
                return await super().summarize(items, language=language)

        thieves = Summarizers(model=None, extractive=Thief(), extractor=Writer())
        await summaries_run_due(lambda _agent: thieves)
        assert await in_database(told) == ["call.ended"]


@pytest.mark.django_db(transaction=True)
class TestWhoIsTold:
    @pytest.fixture
    def sites(self, webhook) -> dict[str, Site]:
        made = {slug: Site.objects.create(slug=slug, name=slug) for slug in ("shop", "other")}
        demo_conversation("call-1", sound=False)
        return made

    @pytest.mark.parametrize(
        ("of", "site", "events", "active", "counts"),
        [
            ("shop", "shop", [], True, 1),
            ("shop", "other", [], True, 0),
            ("shop", "own", [], True, 0),
            (None, "shop", [], True, 1),
            (None, "own", [], True, 1),
            (None, "own", ["call.started"], True, 0),
            (None, "own", ["call.started", "call.ended"], True, 1),
            (None, "own", [], False, 0),
        ],
    )
    def test_by_site_and_event(self, webhook, sites, of, site, events, active, counts):
        webhook("/ok", *events, site=sites[of] if of else None, active=active)
        for _ in range(2):
            deliveries_add(ENDED, {"call-1": site})
        assert WebhookDelivery.objects.count() == counts

    def test_each_webhook_has_an_id_of_its_own(self, webhook, sites):
        webhook()
        webhook()
        deliveries_add(ENDED, {"call-1": "own"})
        assert len({row.event_id for row in WebhookDelivery.objects.all()}) == 2

    def test_what_is_taken_back_is_not_told(self, webhook, sites):
        webhook()
        with transaction.atomic():
            deliveries_add(ENDED, {"call-1": "own"})
            transaction.set_rollback(True)
        assert not WebhookDelivery.objects.exists()

    def test_an_erased_call_tells_nothing_more(self, webhook, sites):
        webhook()
        deliveries_add(ENDED, {"call-1": "own"})
        Conversation.objects.all().delete()
        assert not WebhookDelivery.objects.exists()
        assert delivery_take() is None


@pytest.mark.django_db(transaction=True)
def test_nothing_that_was_said_is_in_a_message(webhook):
    demo_conversation("call-1", sound=False)
    Conversation.objects.update(caller="Anna", cost_micros=12_300)
    hook: Webhook = webhook()
    for event in WebhookEvent:
        deliveries_add(event, {"call-1": "own"})
    for row in WebhookDelivery.objects.all():
        said = payload(row)
        assert said["type"] == row.event
        assert said["data"]["call_id"] == "call-1"
        assert said["data"]["caller"] == "Anna"
        assert said["data"]["cost"] == "0.012300"
        assert said["data"]["url"] == "https://calls.example/api/v1/conversations/call-1"
        assert "appointment please" not in str(said)
        assert "Appointment booked" not in str(said)
        assert ("data" in said["data"]) == (row.event == "data.extracted")
    assert hook.deliveries.count() == 4
