"""Every conversation gets its summary, whoever fails or dies on the way."""

import asyncio
from datetime import timedelta

import pytest
import pytest_asyncio
from django.db.models.functions import Now

from calls.domain.errors import EndReason
from calls.domain.events import Stage
from calls.domain.items import Item, ItemStatus, Role
from calls.models import Conversation, Summary, SummaryMethod, SummaryState
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.summary import SummaryDraft
from calls.store import summaries
from calls.store.database import in_database
from calls.store.summaries import (
    MOST_ATTEMPTS,
    Summarizers,
    summaries_loop,
    summaries_run_due,
    summary_request,
)
from tests.store.factories import opened

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


class Writer:
    """Fails as it is told to, then writes; remembers what it was given."""

    def __init__(self, name: str, *failures: Exception):
        self.name = name
        self.failures = list(failures)
        self.given: list[tuple[Item, ...]] = []

    async def summarize(self, items, *, language: str) -> SummaryDraft:
        self.given.append(items)
        if self.failures:
            raise self.failures.pop(0)
        return SummaryDraft(
            f"{self.name}\x00 title",
            "It went well.",
            ("one",),
            ("two", "three"),
            "booked",
            language,
        )


def failure(*, retryable: bool) -> ProviderError:
    return ProviderError(
        ProviderFault.UNAVAILABLE, "down", provider="llm", stage=Stage.LLM, retryable=retryable
    )


@pytest_asyncio.fixture
async def ended() -> None:
    records = await opened()
    await records.store_item(Item(1, Role.USER, "hello", 1))
    await records.store_item(Item(2, Role.USER, "taken back", 1, status=ItemStatus.CANCELLED))
    await records.store_item(Item(3, Role.AGENT, "good day", 1))
    await records.finish(EndReason.AGENT_ENDED, duration_ms=5_000)


def row() -> Summary:
    return Summary.objects.get()


def make_due() -> None:
    Summary.objects.update(lease_until=Now() - timedelta(seconds=1))


async def run(model: Writer | None, extractive: Writer) -> Summary:
    await summaries_run_due(lambda agent: Summarizers(model, extractive))
    return await in_database(row)


async def test_the_rule_writes_where_there_is_no_model(ended):
    rule = Writer("rule")
    summary = await run(None, rule)
    assert (summary.state, summary.method) == (SummaryState.DONE, SummaryMethod.EXTRACTIVE)
    assert (summary.title, summary.outcome, summary.language) == ("rule title", "booked", "en")
    assert (summary.key_points, summary.next_steps) == (["one"], ["two", "three"])
    assert (summary.provider, summary.done_at is not None) == ("rule", True)
    assert [item.text for item in rule.given[0]] == ["hello", "good day"]


async def test_the_model_is_preferred_and_named(ended):
    summary = await run(Writer("model"), Writer("rule"))
    assert (summary.method, summary.provider) == (SummaryMethod.MODEL, "model")


async def test_a_passing_failure_is_tried_again_later(ended):
    model = Writer("model", failure(retryable=True))
    summary = await run(model, Writer("rule"))
    assert (summary.state, summary.attempts) == (SummaryState.PENDING, 1)
    assert summary.error == "llm: unavailable"
    assert (await run(model, Writer("rule"))).attempts == 1, "it was not due"
    await in_database(make_due)
    summary = await run(model, Writer("rule"))
    assert (summary.state, summary.method, summary.error) == ("done", SummaryMethod.MODEL, "")


async def test_the_rule_takes_over_when_the_model_fails_for_good(ended):
    summary = await run(Writer("model", failure(retryable=False)), Writer("rule"))
    assert (summary.state, summary.method) == (SummaryState.DONE, SummaryMethod.EXTRACTIVE)
    assert summary.error == "llm: unavailable"


async def test_the_rule_takes_over_after_the_last_attempt(ended):
    model = Writer("model", *(failure(retryable=True) for _ in range(MOST_ATTEMPTS)))
    for _ in range(MOST_ATTEMPTS):
        summary = await run(model, Writer("rule"))
        await in_database(make_due)
    assert (summary.state, summary.method) == (SummaryState.DONE, SummaryMethod.EXTRACTIVE)


async def test_after_five_attempts_it_has_failed(ended):
    rule = Writer("rule", *(ValueError("defect") for _ in range(9)))
    for _ in range(MOST_ATTEMPTS + 2):
        summary = await run(None, rule)
        await in_database(make_due)
    assert (summary.state, summary.attempts) == (SummaryState.FAILED, MOST_ATTEMPTS)
    assert summary.error == "rule: ValueError"
    assert len(rule.given) == MOST_ATTEMPTS


async def test_a_worker_that_died_is_replaced_when_its_lease_is_over(ended):
    await in_database(summaries._take)
    assert (await run(None, Writer("rule"))).state == SummaryState.RUNNING
    await in_database(make_due)
    assert (await run(None, Writer("rule"))).state == SummaryState.DONE


async def test_a_lease_is_held_by_one_only(ended):
    leases = await asyncio.gather(*(in_database(summaries._take) for _ in range(4)))
    assert sum(lease is not None for lease in leases) == 1


async def test_a_late_worker_does_not_write_over_a_new_request(ended):
    late = await in_database(summaries._take)
    await in_database(lambda: summary_request(Conversation.objects.get()))
    await in_database(summaries._take)
    await summaries._write(late, Summarizers(None, Writer("late")))
    summary = await in_database(row)
    assert (summary.state, summary.title) == (SummaryState.RUNNING, "")


async def test_what_there_is_stays_until_the_next_is_done(ended):
    await run(None, Writer("first"))
    await in_database(lambda: summary_request(Conversation.objects.get()))
    pending = await in_database(row)
    assert (pending.state, pending.title) == (SummaryState.PENDING, "first title")
    assert (await run(None, Writer("second"))).title == "second title"


async def test_a_call_that_came_back_to_life_is_not_summed_up_yet(ended):
    def revive() -> None:
        Conversation.objects.update(status="active", end_reason="", ended_at=None)

    await in_database(revive)
    assert (await run(None, Writer("rule"))).state == SummaryState.PENDING


async def test_the_loop_wakes_when_a_call_ends():
    rule = Writer("rule")
    async with asyncio.timeout(3), asyncio.TaskGroup() as group:
        loop = group.create_task(summaries_loop(lambda agent: Summarizers(None, rule)))
        await asyncio.sleep(0.05)
        records = await opened()
        await records.finish(EndReason.CALLER_HUNG_UP, duration_ms=1)
        while not rule.given:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        loop.cancel()


class Picker:
    """Fails as it is told to, then picks; remembers what it was asked for."""

    name = "picker"

    def __init__(self, *failures: Exception):
        self.failures = list(failures)
        self.asked: list[object] = []

    async def extract(self, items, *, schema, language):
        self.asked.append(([item.text for item in items], schema, language))
        if self.failures:
            raise self.failures.pop(0)
        return {"city": "Bonn\x00", "guests": 2}


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest_asyncio.fixture
async def ended_with_schema(ended) -> None:
    await in_database(
        lambda: Conversation.objects.update(agent_snapshot={"extraction_schema": SCHEMA})
    )


async def pick(picker: Picker | None, *failures: Exception) -> Summary:
    writer = Writer("model", *failures)
    await summaries_run_due(lambda agent: Summarizers(writer, Writer("rule"), picker))
    return await in_database(row)


async def test_what_the_agents_schema_asks_for_is_picked_out(ended_with_schema):
    picker = Picker()
    summary = await pick(picker)
    assert (summary.state, summary.title) == (SummaryState.DONE, "model title")
    assert (summary.extracted, summary.extraction_error) == ({"city": "Bonn", "guests": 2}, "")
    assert picker.asked == [(["hello", "good day"], SCHEMA, "en")]


async def test_without_a_schema_nothing_is_picked_out(ended):
    picker = Picker()
    summary = await pick(picker)
    assert (summary.extracted, summary.extraction_error, picker.asked) == (None, "", [])


async def test_without_a_model_it_is_said_that_one_is_needed(ended_with_schema):
    summary = await pick(None)
    assert (summary.state, summary.extracted) == (SummaryState.DONE, None)
    assert summary.extraction_error == "Needs a language model."


async def test_picking_that_fails_in_passing_is_tried_again_later(ended_with_schema):
    picker = Picker(failure(retryable=True))
    summary = await pick(picker)
    assert (summary.state, summary.error) == (SummaryState.PENDING, "llm: unavailable")
    await in_database(make_due)
    summary = await pick(picker)
    assert (summary.state, summary.extracted["guests"]) == (SummaryState.DONE, 2)


@pytest.mark.parametrize(
    ("error", "told"),
    [(failure(retryable=False), "llm: unavailable"), (ValueError("hello"), "picker: ValueError")],
)
async def test_picking_that_fails_for_good_leaves_the_summary(ended_with_schema, error, told):
    summary = await pick(Picker(error))
    assert (summary.state, summary.title) == (SummaryState.DONE, "model title")
    assert (summary.extracted, summary.extraction_error) == (None, told)


async def test_after_the_last_attempt_the_summary_is_stored_without(ended_with_schema):
    picker = Picker(*(failure(retryable=True) for _ in range(MOST_ATTEMPTS)))
    for _ in range(MOST_ATTEMPTS):
        summary = await pick(picker)
        await in_database(make_due)
    assert (summary.state, summary.extraction_error) == (SummaryState.DONE, "llm: unavailable")


async def test_what_was_picked_out_before_is_replaced(ended_with_schema):
    await pick(Picker())
    await in_database(lambda: summary_request(Conversation.objects.get()))
    summary = await pick(Picker(ValueError("defect")))
    assert (summary.extracted, summary.extraction_error) == (None, "picker: ValueError")
