"""Bytes that a database keeps of what was deleted are made to go, as far as it lets anybody."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection

from calls.models.fulltext import ITEM_WORDS, SUMMARY_WORDS, index_optimize

TABLES = (
    "calls_conversation", "calls_item", "calls_turn", "calls_serviceuse", "calls_summary",
    "calls_recording", "calls_redaction", "calls_webhookdelivery", "calls_erasure",
)  # fmt: skip


def database_compact(*, full: bool = False) -> bool:
    """Rewrite what deleted rows may still stand in; nothing else of the database changes.

    SQLite: the whole file, its write-ahead log and the search index. PostgreSQL: the tables are
    vacuumed and the search indexes built anew; the bytes of deleted rows stay in the tables' files
    until they are written over, unless `full` has the tables rewritten, which locks them.

    Returns:
        Whether it is done; False: others read the database just now, try again.
    """
    match connection.vendor:
        case "sqlite":
            return _sqlite()
        case "postgresql":
            _postgresql(full=full)
    return True


def _sqlite() -> bool:
    """`secure_delete` is not enough: a page that was split keeps copies until it is rewritten."""
    try:
        _run("PRAGMA secure_delete = ON")
        index_optimize(connection)
        _run("VACUUM")
    except OperationalError:
        return False
    return wal_truncate()


def wal_truncate() -> bool:
    """Have SQLite's write-ahead log written back and emptied; False: somebody reads it."""
    if connection.vendor != "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy, _, _ = cursor.fetchone()
    return not busy


def _postgresql(*, full: bool) -> None:
    with _patient():
        for table in TABLES:
            _run(f"VACUUM ({'FULL, ' if full else ''}ANALYZE) {table}")
        if full:
            return
        for index in (ITEM_WORDS, SUMMARY_WORDS):
            # A vacuum leaves the words of deleted rows in the index, without rows.
            _run(f"REINDEX INDEX CONCURRENTLY {index}")


@contextmanager
def _patient() -> Iterator[None]:
    """No limit of time, on this connection, which others use after us."""
    _run("SET statement_timeout = 0")
    try:
        yield
    finally:
        _run("RESET statement_timeout")


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
