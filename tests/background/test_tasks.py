"""Tasks wake workers: they are written after the commit, once, and never the only trace of work."""

import asyncio
import threading
import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.functions import Now
from django_tasks_db.models import DBTaskResult

from calls.store.database import in_database
from calls.store.loops import work_loop
from calls.store.tasks import LOST_AFTER_S, tasks_clear, tasks_take, work_due
from calls.store.wakers import wake, waker
from calls.store.work import work_counts, work_leave
from tests.background.conftest import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]


@pytest.fixture
def workers(settings):
    """The project leaves the work to workers."""
    settings.CALLS = settings.CALLS | {"BACKGROUND": "worker"}
    settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}


def waiting() -> list[str]:
    ready = DBTaskResult.objects.filter(status="READY")
    return [row.args_kwargs["args"][0] for row in ready]


def test_nobody_is_told_where_every_process_does_the_work():
    wake("summaries")
    work_due.enqueue("summaries")  # done at once: it wakes this process
    assert not DBTaskResult.objects.exists()


def test_a_task_waits_for_the_commit_and_for_one_kind_there_is_one(workers):
    with transaction.atomic():
        wake("summaries")
        assert waiting() == []
    until(lambda: waiting() == ["summaries"])
    wake("summaries")
    wake("webhooks")
    until(lambda: sorted(waiting()) == ["summaries", "webhooks"])


def test_what_is_rolled_back_tells_nobody(workers):
    with transaction.atomic():
        wake("summaries")
        transaction.set_rollback(True)
    wake("webhooks")
    until(waiting)
    assert waiting() == ["webhooks"]


@pytest.mark.asyncio
async def test_a_task_that_is_taken_wakes_the_process(workers):
    with waker("summaries") as woken:
        await in_database(work_due.enqueue, "summaries")
        assert await in_database(tasks_take) == 1
        async with asyncio.timeout(5):
            await woken.wait()
    assert await in_database(waiting) == []
    assert await in_database(tasks_take) == 0


@pytest.mark.asyncio
async def test_on_the_event_loop_waking_does_not_wait_for_the_database(workers):
    began_s = time.monotonic()
    wake("summaries")
    assert time.monotonic() - began_s < 0.1
    while not await in_database(waiting):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def test_tasks_that_dead_workers_left_running_are_cleared_and_others_are_not(workers):
    lost, fresh, done = (work_due.enqueue(kind).id for kind in ("a", "b", "c"))
    long_ago = Now() - timedelta(seconds=LOST_AFTER_S + 1)
    rows = DBTaskResult.objects
    rows.filter(pk=lost).update(status="RUNNING", started_at=long_ago)
    rows.filter(pk=fresh).update(status="RUNNING", started_at=Now())
    rows.filter(pk=done).update(status="SUCCESSFUL", finished_at=Now() - timedelta(days=1))
    rows.create(
        task_path="project.tasks.own", status="RUNNING", started_at=long_ago, args_kwargs={}
    )
    assert tasks_clear() == 2
    assert {str(row.pk) for row in rows.filter(task_path=work_due.module_path)} == {fresh}
    assert rows.filter(task_path="project.tasks.own").exists()


def test_how_much_waits_is_counted_by_kind(ended):
    conversation = ended("one")
    ended("two")
    conversation.summary.state = "failed"
    conversation.summary.save()
    counts = work_counts()
    assert counts["summaries"] == (1, 0, 1)
    assert set(counts) == {"summaries", "webhooks", "redactions", "erasures"}


@pytest.mark.asyncio
async def test_a_loop_outlives_a_defect_and_ends_when_the_process_leaves(caplog):
    runs = []

    async def run_due():
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("SECRET")
        if len(runs) == 3:
            work_leave()
        return 0

    try:
        async with asyncio.timeout(5):
            await work_loop("summaries", run_due, look_s=0.01)
    finally:
        work_leave(leaving=False)
    assert len(runs) == 3
    assert "Background work failed" in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.asyncio
async def test_a_loop_is_woken_from_another_thread():
    again = asyncio.Event()
    runs = []

    async def run_due():
        runs.append(1)
        if len(runs) > 1:
            again.set()
        return 0

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        loop = group.create_task(work_loop("webhooks", run_due, look_s=60))
        while not runs:  # noqa: ASYNC110
            await asyncio.sleep(0)
        threading.Thread(target=wake, args=("webhooks",)).start()
        await again.wait()
        loop.cancel()
