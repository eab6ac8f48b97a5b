"""A plugin for pytest: only the tests that use the database, and no other machine or process.

`-p tests.only_database` runs them on whichever database `DATABASE_URL` names.
"""

from typing import Any

import pytest

_FIXTURES = {"db", "transactional_db"}
_ELSEWHERE = {
    "browser",
    "postgres",
    "own_postgres",
    "own_redis",
    "interop",
    "interop_heavy",
    "node",
}
_PROCESSES = {"installation", "start_server", "start_worker", "chromium"}


def _sql_delete(self: Any, style: Any, tables: list[str], **kwargs: Any) -> list[str]:
    return [f"DELETE FROM {self.quote_name(table)};" for table in tables]


def _drop(self: Any, test_database_name: str, verbosity: int) -> None:
    self.connection.close_pool()
    name = self.connection.ops.quote_name(test_database_name)
    with self._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session", autouse=True)
def _postgresql_for_tests(django_db_setup: None) -> None:
    """Until the process ends, how PostgreSQL's tables are emptied and the database is dropped.

    Row by row, as there are few: TRUNCATE makes new files for all tables. By force: a thread that
    outlives its test may still be connected.
    """
    from django.db.backends.postgresql.creation import DatabaseCreation
    from django.db.backends.postgresql.operations import DatabaseOperations

    DatabaseOperations.sql_flush = _sql_delete
    DatabaseCreation._destroy_test_db = _drop


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the others out."""
    others = [item for item in items if not _wanted(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if _wanted(item)]


def _wanted(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    marks = {mark.name for mark in item.iter_markers()}
    uses = "django_db" in marks or fixtures & _FIXTURES
    return bool(uses) and not marks & _ELSEWHERE and not fixtures & _PROCESSES
