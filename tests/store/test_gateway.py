"""The gateway acknowledges what survives a kill, and waits for the database on nobody's behalf."""

import asyncio
import os
import threading
from concurrent.futures import Future

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from calls.domain.items import Item, Role
from calls.models import Item as ItemRow
from calls.store import coordinator as coordinator_module
from calls.store import gateway as gateway_module
from calls.store.coordinator import GATHER_S, Coordinator, Heartbeat, Job, Outcome, Stop, Waiting
from calls.store.database import in_database
from calls.store.gateway import Gateway
from calls.store.journal import Journal, journal_read, journals_orphaned
from calls.store.reaper import reap
from calls.store.units import Kind, Unit, unit_item, unit_read
from calls.store.writing import units_write
from tests.store.factories import opened

PATIENCE_S = 2.0


def unit(item_id: int, call_id: str = "call-1", text: str = "words") -> Unit:
    return unit_item(call_id, Item(item_id, Role.USER, text, 1))


class Desk:
    """A coordinator, its journal, and what it asks of the database, in a time of its own."""

    def __init__(self, folder):
        self.now_s = 100.0
        self.asked: list[Job] = []
        self.journal = Journal(folder)
        self.coordinator = Coordinator(self.journal, self.asked.append, PATIENCE_S)

    def give(self, *units: Unit) -> list[Future]:
        done = [Future() for _ in units]
        for entry, future in zip(units, done, strict=True):
            self.tell(Waiting(entry, future, self.now_s))
        self.later(GATHER_S)
        return done

    def tell(self, *messages) -> None:
        for message in messages:
            self.coordinator.take(message, self.now_s)
        self.coordinator.proceed(self.now_s)

    def later(self, seconds: float) -> None:
        self.now_s += seconds
        self.coordinator.proceed(self.now_s)

    def answer(self, *, away: bool = False, offset: int = 0, refused=()) -> None:
        self.tell(Outcome(away=away, refused=refused, offset=offset))

    @property
    def in_journal(self) -> list[Unit]:
        if not self.journal.size_bytes:
            return []
        return journal_read(self.journal.path, 0, self.journal.size_bytes, 1_000)[0]


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "journal")
    yield desk
    desk.journal.clear()
    desk.journal.close()


def done(futures) -> list[bool]:
    return [future.done() for future in futures]


class TestCoordinator:
    def test_a_unit_is_acknowledged_when_it_is_committed(self, desk):
        (written,) = desk.give(unit(1))
        assert not written.done()
        desk.answer()
        assert written.done()

    def test_after_a_rest_units_gather_for_a_moment(self, desk):
        first, second = Future(), Future()
        desk.tell(Waiting(unit(1), first, desk.now_s))
        desk.later(GATHER_S / 2)
        desk.tell(Waiting(unit(2), second, desk.now_s))
        assert desk.asked == []
        desk.later(GATHER_S / 2)
        assert [u.fields["item_id"] for u in desk.asked[0].units] == [1, 2]

    def test_what_comes_meanwhile_goes_in_one_batch(self, desk):
        desk.give(unit(1))
        futures = desk.give(unit(2), unit(3))
        assert len(desk.asked) == 1
        desk.answer()
        assert [u.fields["item_id"] for u in desk.asked[1].units] == [2, 3]
        desk.answer()
        assert done(futures) == [True, True]

    def test_while_the_database_is_away_it_is_asked_again_with_growing_pauses(self, desk):
        desk.give(unit(1))
        pauses = []
        for _ in range(4):
            desk.answer(away=True)
            pauses.append(round(desk.coordinator.pause_s(desk.now_s), 3))
            asked = len(desk.asked)
            desk.later(pauses[-1])
            assert len(desk.asked) == asked + 1
        assert pauses == [0.1, 0.2, 0.4, 0.8]

    def test_past_its_patience_a_unit_goes_to_the_journal_and_counts(self, desk):
        futures = desk.give(unit(1))
        futures += desk.give(unit(2))
        desk.later(1.9)
        assert done(futures) == [False, False]
        desk.later(0.2)
        assert done(futures) == [True, True]
        assert desk.in_journal == [unit(1), unit(2)]

    def test_with_too_much_waiting_it_does_not_wait_that_long(self, desk, monkeypatch):
        monkeypatch.setattr(coordinator_module, "MOST_WAITING", 3)
        futures = desk.give(*(unit(n) for n in range(1, 5)))
        assert all(done(futures))

    def test_the_journal_is_written_before_anything_newer(self, desk):
        desk.give(unit(1))
        desk.later(2.1)
        desk.answer(away=True)
        desk.give(unit(2))
        assert desk.in_journal == [unit(1), unit(2)]
        desk.later(1)
        job = desk.asked[-1]
        assert (job.units, job.offset, job.end) == ((), 0, desk.journal.size_bytes)
        (newer,) = desk.give(unit(3))
        desk.answer(offset=job.end)
        assert newer.done()
        rest = desk.asked[-1]
        assert (rest.offset, rest.end) == (job.end, desk.journal.size_bytes)
        desk.answer(offset=rest.end)
        assert desk.in_journal == []
        desk.give(unit(4))
        assert [u.fields["item_id"] for u in desk.asked[-1].units] == [4]

    def test_a_journal_that_fails_too_is_tried_again_in_a_while(self, desk, monkeypatch):
        def full(units):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(desk.journal, "append", full)
        (future,) = desk.give(unit(1))
        desk.later(2.1)
        assert not future.done()
        assert desk.coordinator.pause_s(desk.now_s) == pytest.approx(5)
        monkeypatch.undo()
        desk.later(5)
        assert future.done()

    def test_heartbeats_are_never_kept(self, desk):
        desk.tell(Heartbeat(frozenset({"a"})))
        assert desk.asked[-1].call_ids == {"a"}
        desk.answer(away=True)
        assert desk.coordinator.pause_s(desk.now_s) is None
        assert desk.in_journal == []

    def test_it_ends_when_all_is_written(self, desk):
        desk.give(unit(1))
        desk.tell(Stop())
        assert not desk.coordinator.finished
        desk.answer()
        assert desk.coordinator.finished

    def test_it_ends_by_way_of_the_journal_while_the_database_is_away(self, desk):
        desk.give(unit(1))
        desk.tell(Stop())
        desk.answer(away=True)
        assert desk.coordinator.finished
        assert desk.in_journal == [unit(1)]


class TestJournal:
    def test_a_line_comes_back_as_it_was(self):
        assert unit_read(unit(1, text="grüße\n\u2028").line()) == unit(1, text="grüße\n\u2028")

    def test_a_journal_of_a_live_process_is_left_alone(self, tmp_path):
        journal = Journal(tmp_path)
        journal.append([unit(1)])
        assert list(journals_orphaned(tmp_path)) == []
        journal.close()
        assert len(list(journals_orphaned(tmp_path))) == 1

    def test_an_empty_one_is_removed(self, tmp_path):
        journal = Journal(tmp_path)
        journal.append([unit(1)])
        journal.clear()
        journal.close()
        assert list(tmp_path.iterdir()) == []

    def test_a_failed_write_leaves_no_half_line(self, tmp_path, monkeypatch):
        journal = Journal(tmp_path)
        journal.append([unit(1)])
        size = journal.size_bytes
        really = os.write
        monkeypatch.setattr(os, "write", lambda file, data: really(file, bytes(data)[:5]))

        def fail(file):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            journal.append([unit(2)])
        assert journal.path.stat().st_size == size
        journal.close()

    def test_a_torn_line_is_passed_over(self, tmp_path):
        path = tmp_path / "1-a.jsonl"
        path.write_bytes(unit(1).line() + b'["item", "ca\n' + unit(2).line() + b'["ite')
        units, offset = journal_read(path, 0, path.stat().st_size, 100)
        assert units == [unit(1), unit(2)]
        assert offset == path.stat().st_size


@pytest.mark.django_db(transaction=True)
@pytest.mark.asyncio
class TestDatabase:
    async def test_one_refused_unit_does_not_hold_up_the_others(self, own_folders):
        records = await opened()
        broken = Unit(Kind.ITEM, "call-1", {**unit(2).fields, "turn": None})
        refused = await in_database(units_write, [unit(1), broken, unit(3)])
        assert refused == [broken]
        stored = await in_database(lambda: list(ItemRow.objects.values_list("item_id", flat=True)))
        assert stored == [1, 3]
        await records._gateway.write(broken)
        assert unit_read((own_folders / "journal" / "refused.log").read_bytes()) == broken

    async def test_a_constraint_that_fails_only_at_the_commit_is_found_as_well(self, monkeypatch):
        await opened()
        monkeypatch.setattr("calls.store.writing._known", lambda units: {"call-1", "gone"})
        stray = unit(1, "gone")
        assert await in_database(units_write, [unit(1), stray]) == [stray]

    async def test_an_outage_costs_nothing(self, own_folders):
        await opened()
        away = threading.Event()
        away.set()

        def perform(job: Job) -> Outcome:
            if away.is_set():
                return Outcome(away=True, refused=(), offset=job.offset)
            return gateway_module.job_perform(job)

        journal = Journal(own_folders / "journal")
        through = Gateway(journal, perform=perform, patience_s=0.05)
        for number in range(1, 21):
            await through.write(unit(number))
        assert not await in_database(ItemRow.objects.exists)
        away.clear()
        for number in range(21, 31):
            await through.write(unit(number))
        while journal.size_bytes:
            # Without a pause a slow disk spills faster than the journal is worked off.
            await asyncio.sleep(0.2)
            await through.write(unit(30))
        await in_database(through.close)
        stored = await in_database(lambda: list(ItemRow.objects.values_list("item_id", flat=True)))
        assert stored == list(range(1, 31))
        assert list((own_folders / "journal").iterdir()) == []

    async def test_a_database_that_hangs_holds_nobody_up(self, own_folders):
        await opened()
        thaw = threading.Event()

        def perform(job: Job) -> Outcome:
            thaw.wait()
            return gateway_module.job_perform(job)

        through = Gateway(Journal(own_folders / "journal"), perform=perform, patience_s=0.05)
        await through.write(unit(1))
        await through.write(unit(2))
        await in_database(through.close)
        assert (await in_database(reap)).units == 2
        thaw.set()
        assert await in_database(ItemRow.objects.count) == 2

    async def test_a_closed_gateway_says_so(self, own_folders):
        through = Gateway(Journal(own_folders / "journal"))
        await in_database(through.close)
        with pytest.raises(RuntimeError, match="closed"):
            await through.write(unit(1))

    async def test_a_lost_connection_is_opened_again(self):
        records = await opened()
        await records.store_item(Item(1, Role.USER, "a", 1))
        broken = threading.Event()

        def breaks(job: Job) -> Outcome:
            if not broken.is_set():
                broken.set()
                connection.connection.close()
            return gateway_module.job_perform(job)

        records._gateway._database._perform = breaks
        await records.store_item(Item(2, Role.USER, "b", 1))
        assert broken.is_set()
        assert await in_database(ItemRow.objects.count) == 2

    async def test_the_queries_of_a_batch_do_not_grow_with_it(self):
        await opened()

        def write(count: int) -> int:
            with CaptureQueriesContext(connection) as queries:
                units_write([unit(n) for n in range(1, count + 1)])
            return len(queries)

        assert await in_database(write, 2) == await in_database(write, 50)


def test_errors_that_mean_away_are_told_from_refusals(monkeypatch):
    def away(units):
        raise OperationalError

    monkeypatch.setattr("calls.store.writing._write", away)
    with pytest.raises(OperationalError):
        units_write([unit(1)])

    def refused(units):
        raise IntegrityError

    monkeypatch.setattr("calls.store.writing._write", refused)
    assert units_write([unit(1)]) == [unit(1)]
