"""Requests to providers are on the record: each once, in order, whatever happens to the process."""

import threading
from dataclasses import asdict, replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calls.domain.items import Item, Role
from calls.domain.usage import ServiceUse
from calls.models import Conversation
from calls.models import ServiceUse as UseRow
from calls.store import gateway as gateway_module
from calls.store.coordinator import Job, Outcome
from calls.store.database import in_database
from calls.store.gateway import Gateway
from calls.store.journal import Journal, journal_read
from calls.store.reaper import reap
from calls.store.units import Kind, Unit, unit_item, unit_read, unit_use
from calls.store.writing import units_write
from tests.store.factories import opened, used

pytestmark = pytest.mark.django_db(transaction=True)

USE = used(
    3,
    "llm",
    "openai",
    model="gpt-5.4-mini",
    outcome="cancelled",
    request_id="chatcmpl-1",
    usage={"input_tokens": 412, "output_tokens": 38},
    estimated=True,
)


async def stored(call_id: str = "call-1") -> list[ServiceUse]:
    names = list(asdict(USE))

    def read() -> list[ServiceUse]:
        rows = Conversation.objects.get(pk=call_id).uses.values(*names)
        return [ServiceUse(**row) for row in rows]

    return await in_database(read)


@pytest.mark.asyncio
class TestOnTheRecord:
    async def test_a_use_comes_back_as_it_was(self):
        records = await opened()
        await records.store_use(USE)
        assert await stored() == [USE]

    async def test_it_is_written_once_however_often(self):
        records = await opened()
        for _ in range(3):
            await records.store_use(USE)
        await in_database(units_write, [unit_use("call-1", USE)] * 2)
        assert await stored() == [USE]

    async def test_what_is_said_last_of_a_number_counts(self):
        records = await opened()
        later = replace(USE, outcome="ok", estimated=False, request_id="")
        await in_database(units_write, [unit_use("call-1", USE), unit_use("call-1", later)])
        assert await stored() == [later]
        await records.store_use(USE)
        assert await stored() == [USE]

    async def test_they_stand_in_the_order_in_which_they_were_over(self):
        records = await opened()
        for number in (2, 10, 1):
            await records.store_use(used(number, "tts", "embedded", turn=20 - number))
        assert [use.number for use in await stored()] == [1, 2, 10]

    async def test_each_call_counts_its_own(self):
        for call_id in ("call-1", "call-2"):
            await (await opened(call_id)).store_use(replace(USE, provider=call_id))
        assert [use.provider for use in await stored("call-2")] == ["call-2"]

    async def test_what_no_database_takes_is_cleaned(self):
        records = await opened()
        hostile = replace(
            USE,
            model="m\x00" * 80,
            request_id="\ud800" + "r" * 200,
            provider="p" * 90,
            outcome="o" * 90,
            duration_ms=2**40,
            began_ms=-5,
            usage={"nul\x00": 1, "large": 2**70},
        )
        await records.store_use(hostile)
        (use,) = await stored()
        assert (use.model, use.request_id) == ("m" * 80, "?" + "r" * 99)
        assert (len(use.provider), len(use.outcome)) == (40, 16)
        assert (use.duration_ms, use.began_ms) == (2**31 - 1, 0)
        assert use.usage == {"nul": 1, "large": 2**70}

    async def test_an_erased_conversation_takes_none(self):
        records = await opened()
        other = await opened("call-2")
        await in_database(Conversation.objects.filter(pk="call-1").delete)
        await records.store_use(USE)
        await other.store_use(USE)
        rows = await in_database(lambda: list(UseRow.objects.values_list("conversation_id")))
        assert rows == [("call-2",)]

    async def test_they_are_erased_with_their_conversation(self):
        for call_id in ("call-1", "call-2"):
            await (await opened(call_id)).store_use(USE)
        await in_database(Conversation.objects.filter(pk="call-1").delete)
        rows = await in_database(lambda: list(UseRow.objects.values_list("conversation_id")))
        assert rows == [("call-2",)]

    async def test_one_that_is_refused_does_not_hold_up_the_others(self):
        await opened()
        broken = Unit(Kind.USE, "call-1", {**unit_use("call-1", USE).fields, "turn": None})
        said = unit_item("call-1", Item(1, Role.USER, "words", 1))
        fine = unit_use("call-1", replace(USE, number=4))
        assert await in_database(units_write, [said, broken, fine]) == [broken]
        assert [use.number for use in await stored()] == [4]

    async def test_the_queries_of_a_batch_do_not_grow_with_it(self):
        await opened()

        def write(count: int) -> int:
            units = [unit_use("call-1", replace(USE, number=n)) for n in range(1, count + 1)]
            with CaptureQueriesContext(connection) as queries:
                units_write(units)
            return len(queries)

        assert await in_database(write, 2) == await in_database(write, 50)


class TestJournal:
    def test_a_line_comes_back_as_it_was(self):
        unit = unit_use("call-1", USE)
        assert unit_read(unit.line()) == unit
        assert unit.line().count(b"\n") == 1

    @pytest.mark.asyncio
    async def test_what_waits_there_is_written_when_the_process_has_died(self, own_folders):
        await opened()
        thaw = threading.Event()

        def perform(job: Job) -> Outcome:
            thaw.wait()
            return gateway_module.job_perform(job)

        journal = Journal(own_folders / "journal")
        through = Gateway(journal, perform=perform, patience_s=0.05)
        await through.write(unit_use("call-1", USE))
        kept, _ = journal_read(journal.path, 0, journal.size_bytes, 10)
        assert kept == [unit_use("call-1", USE)]
        await in_database(through.close)
        assert (await in_database(reap)).units == 1
        thaw.set()
        assert await stored() == [USE]
