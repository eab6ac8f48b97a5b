"""Tells the processes of `manage.py worker` that work may be due, with a task of django-tasks.

The rows of the work are the truth; a task says only that somebody should look. One that is lost, or
left behind by a worker that died, costs nothing but the wait until the next look.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Lock
from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django_tasks import TaskResultStatus, task

from calls.conf import calls_settings
from calls.store.database import AWAY, after_commit
from calls.store.wakers import wake_here

logger = logging.getLogger(__name__)

LOST_AFTER_S = 60
KEPT_S = 3_600
_MOST = 50

_caller = ThreadPoolExecutor(1, thread_name_prefix="calls-tasks")
_lock = Lock()
_asked: set[str] = set()


@task()
def work_due(kind: str) -> None:
    """Have this process look for work of that kind at once."""
    wake_here(kind)


def tasks_tell(kind: str) -> None:
    """Have a worker look for work of that kind: once the transaction is through that asks for it.

    From any thread; never waits, never raises. Does nothing where every process does the work.
    """
    if calls_settings().background != "worker":
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        after_commit(lambda: _ask(kind))
    else:
        _ask(kind)


def tasks_take() -> int:
    """Run the tasks that wait for a worker, and clear up behind workers that died.

    Nothing is ever left half done: a task is taken and done in one transaction.

    Raises:
        AWAY: the database is away.
    """
    if not apps.is_installed("django_tasks_db"):
        return 0
    with transaction.atomic():
        rows = _ready()
        for row in rows:
            row.task.call(*row.args_kwargs["args"], **row.args_kwargs["kwargs"])
        _ours().filter(pk__in=[row.pk for row in rows]).update(
            status=TaskResultStatus.SUCCESSFUL, started_at=Now(), finished_at=Now()
        )
    return len(rows)


def tasks_clear() -> int:
    """Remove tasks that are long done, and those that whoever took them never finished.

    Raises:
        AWAY: the database is away.
    """
    if not apps.is_installed("django_tasks_db"):
        return 0
    done = Q(finished_at__lt=Now() - timedelta(seconds=KEPT_S))
    lost = Q(
        status=TaskResultStatus.RUNNING,
        started_at__lt=Now() - timedelta(seconds=LOST_AFTER_S),
    )
    removed, _ = _ours().filter(done | lost).delete()
    return int(removed)


def _ask(kind: str) -> None:
    """Write the task down from a thread of its own; of several for one kind, once."""
    with _lock:
        if kind in _asked:
            return
        _asked.add(kind)
    try:
        _caller.submit(_enqueue, kind)
    except RuntimeError:  # the process ends; the next look finds the work
        _asked.discard(kind)


def _enqueue(kind: str) -> None:
    with _lock:
        _asked.discard(kind)
    try:
        if not _waits(kind):
            work_due.enqueue(kind)
    except AWAY:
        logger.warning("No worker can be told while the database is away", extra={"work": kind})
    finally:
        connections.close_all()


def _waits(kind: str) -> bool:
    """Whether a task of this kind waits already."""
    if not apps.is_installed("django_tasks_db"):
        return False
    waiting = _ours().filter(status=TaskResultStatus.READY)
    return bool(waiting.filter(args_kwargs={"args": [kind], "kwargs": {}}).exists())


def _ready() -> Sequence[Any]:
    waiting = _ours().filter(status=TaskResultStatus.READY)
    return list(waiting.select_for_update(skip_locked=True)[:_MOST])


def _ours() -> Any:
    """The tasks of this module; those of the project around the app are left alone."""
    from django_tasks_db.models import DBTaskResult

    return DBTaskResult.objects.filter(task_path=work_due.module_path)
