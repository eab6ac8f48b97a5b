"""What a call says to its record is in the tables afterwards."""

import pytest

from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Mark, Role, Source
from calls.domain.timings import Turn, TurnTimings
from calls.models import Conversation, ConversationStatus, Summary, SummaryState
from calls.models import Item as ItemRow
from calls.models import Turn as TurnRow
from calls.store.database import in_database
from calls.store.records import heartbeat
from tests.store.factories import opened

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]

ANSWER = Item(
    item_id=2,
    role=Role.AGENT,
    text="It is four",
    unheard=" o'clock.",
    turn=1,
    status=ItemStatus.INTERRUPTED,
    source=Source.MODEL,
    started_ms=5_210,
    ended_ms=6_020,
    response_id=3,
    marks=(Mark(2, 120), Mark(5, 300), Mark(10, 700)),
    metadata={"mood": "calm"},
    revision=1,
)


async def test_an_item_comes_back_as_it_was():
    records = await opened()
    await records.store_item(ANSWER)
    row = await in_database(ItemRow.objects.get)
    assert row.domain() == ANSWER


async def test_a_lower_revision_never_replaces_a_higher_one():
    records = await opened()
    await records.store_item(ANSWER)
    await records.store_item(Item(item_id=2, role=Role.AGENT, text="", turn=1, revision=0))
    assert (await in_database(ItemRow.objects.get)).text == "It is four"


async def test_text_that_no_database_takes_is_cleaned():
    records = await opened(metadata={"nul\x00": ["\ud800", float("nan")]}, user_agent="x\x00y")
    await records.store_item(
        Item(1, Role.USER, "a\x00b\ud800", 1, metadata={"n": float("inf")}, tool_name="t" * 300)
    )
    conversation = await in_database(Conversation.objects.get)
    row = await in_database(ItemRow.objects.get)
    assert (row.text, row.metadata, len(row.tool_name)) == ("ab?", {"n": None}, 100)
    assert conversation.metadata == {"nul": ["?", None]}
    assert conversation.user_agent == "xy"


async def test_turns_are_counted_on_the_conversation():
    records = await opened()
    await records.store_turn(Turn(0, TurnTimings(first_sent_ms=10)))
    for number, (latency_ms, interrupted) in enumerate([(900, True), (700, False), (1_100, True)]):
        timings = TurnTimings(speech_stopped_ms=1_000, first_sent_ms=1_000 + latency_ms)
        await records.store_turn(Turn(number + 1, timings, interrupted=interrupted, stt="ears"))
    conversation = await in_database(Conversation.objects.get)
    counted = (
        conversation.turn_count, conversation.interruption_count, conversation.latency_ms
    )  # fmt: skip
    assert counted == (3, 2, 900)
    turn = await in_database(TurnRow.objects.get, turn=3)
    assert (turn.latency_ms, turn.stt, turn.timings.latency_ms) == (1_100, "ears", 1_100)


async def test_the_end_closes_the_conversation_and_asks_for_a_summary():
    records = await opened()
    await records.store_item(Item(1, Role.TOOL, "", 1, status=ItemStatus.IN_PROGRESS))
    await records.finish(EndReason.AGENT_ENDED, duration_ms=12_345)
    await records.finish(EndReason.ERROR, duration_ms=1)
    conversation = await in_database(Conversation.objects.get)
    assert conversation.status == ConversationStatus.ENDED
    assert conversation.end_reason == EndReason.AGENT_ENDED
    assert (conversation.ended_at - conversation.started_at).total_seconds() == 12.345
    assert (await in_database(Summary.objects.get)).state == SummaryState.PENDING
    assert (await in_database(ItemRow.objects.get)).status == ItemStatus.INTERRUPTED


async def test_an_erased_conversation_takes_no_further_words():
    records = await opened()
    other = await opened("call-2")
    await in_database(Conversation.objects.filter(pk="call-1").delete)
    await records.store_item(ANSWER)
    await other.store_item(ANSWER)
    rows = await in_database(lambda: list(ItemRow.objects.values_list("conversation_id")))
    assert rows == [("call-2",)]


async def test_a_heartbeat_revives_a_call_that_was_taken_for_dead():
    records = await opened()

    def reap() -> None:
        Conversation.objects.update(
            status="ended", end_reason="interrupted", ended_at="2026-01-01T00:00Z",
            heartbeat_at="2020-01-01T00:00Z",
        )  # fmt: skip

    await in_database(reap)
    heartbeat(["call-1"])
    await records.store_item(ANSWER)  # behind the heartbeat
    conversation = await in_database(Conversation.objects.get)
    assert conversation.status == ConversationStatus.ACTIVE
    assert conversation.heartbeat_at > conversation.started_at
