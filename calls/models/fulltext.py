"""The full-text index of what was said: each database's own, kept by the database itself.

PostgreSQL: GIN indexes on expressions. SQLite: FTS5 tables without text of their own, kept by
triggers. Other databases have none and are searched row by row.
"""

import re
import string
from collections.abc import Iterator
from sqlite3 import sqlite_version_info

from django.db.backends.base.base import BaseDatabaseWrapper

ITEMS = "calls_item"
SUMMARIES = "calls_summary"
ITEM_WORDS = "calls_item_words"
SUMMARY_WORDS = "calls_summary_words"
SUMMARY_TEXTS = "calls_summary_texts"
"""SQLite: the summaries' words under a number that lasts; a table without one is renumbered."""

LARGEST_INDEXED_CHARS = 100_000
"""Of one item; PostgreSQL refuses to index more than a megabyte at once."""

_LONGEST_TERM_CHARS = 200
_TERM = re.compile(r"[^\W_]+")
_PUNCTUATION = string.punctuation.replace("'", "''").replace("%", "%%")
"""As it stands in a query that takes parameters."""


def terms(text: str) -> list[str]:
    """The words of `text` as the indexes know them: letters and digits that stand together."""
    return [term[:_LONGEST_TERM_CHARS] for term in _TERM.findall(text)]


# PostgreSQL


def item_vector(text: str = "text", unheard: str = "unheard") -> str:
    """SQL: the words of an item, as they are indexed."""
    return _vector(f"{text} || ' ' || {unheard}")


def summary_vector(
    title: str = "title", summary: str = "summary", key_points: str = "key_points"
) -> str:
    """SQL: the words of a summary, as they are indexed."""
    return _vector(f"{title} || ' ' || {summary} || ' ' || ({key_points})::text")


def _vector(words: str) -> str:
    blanks = " " * len(string.punctuation)
    # Punctuation is taken out: the parser would make one word of an address or of a fraction.
    plain = f"translate(left({words}, {LARGEST_INDEXED_CHARS}), '{_PUNCTUATION}', '{blanks}')"
    return f"to_tsvector('pg_catalog.simple'::regconfig, {plain})"


def tsquery(word: str, *, exact: bool) -> str:
    """What PostgreSQL is asked for; the terms of `word` one after the other."""
    found = [f"'{term}'" for term in terms(word)]
    if not exact:
        found[-1] += ":*"
    return " <-> ".join(found)


def fts5_query(word: str, *, exact: bool) -> str:
    """What SQLite is asked for."""
    phrase = '"' + " ".join(terms(word)) + '"'
    return phrase if exact else f"{phrase} *"


_CONTENT_COLUMNS = {
    ITEMS: ("text", "unheard", "arguments", "metadata", "marks"),
    SUMMARIES: ("title", "summary", "key_points", "next_steps", "outcome", "extracted"),
    "calls_conversation": ("caller", "metadata", "user_agent", "consent_text", "agent_snapshot"),
    "calls_erasure": ("caller", "call_ids"),
}
"""Of which PostgreSQL keeps no samples for its planner: nobody could erase them there."""


def _postgresql_make() -> Iterator[str]:
    yield "SET LOCAL statement_timeout = 0"
    for name, table, vector in _gin():
        yield f"CREATE INDEX IF NOT EXISTS {name} ON {table} USING gin (({vector}))"
        yield f"ALTER INDEX {name} ALTER COLUMN 1 SET STATISTICS 0"
    yield from _postgresql_statistics(0)


def _postgresql_remove() -> Iterator[str]:
    yield from (f"DROP INDEX IF EXISTS {name}" for name, _, _ in _gin())
    yield from _postgresql_statistics(-1)


def _postgresql_statistics(target: int) -> Iterator[str]:
    for table, columns in _CONTENT_COLUMNS.items():
        changes = (f"ALTER COLUMN {column} SET STATISTICS {target}" for column in columns)
        yield f"ALTER TABLE {table} {', '.join(changes)}"


def _gin() -> tuple[tuple[str, str, str], ...]:
    return (
        (ITEM_WORDS, ITEMS, item_vector().replace("%%", "%")),
        (SUMMARY_WORDS, SUMMARIES, summary_vector().replace("%%", "%")),
    )


# SQLite

_TOKENS = "tokenize='unicode61 remove_diacritics 2', prefix='2 3'"
_SECURE_DELETE_SINCE = (3, 42)


def _sqlite_make() -> Iterator[str]:
    yield (
        f"CREATE TABLE IF NOT EXISTS {SUMMARY_TEXTS} (id INTEGER PRIMARY KEY, "
        "conversation_id varchar(64) NOT NULL UNIQUE, words TEXT NOT NULL)"
    )
    yield from _sqlite_index(ITEM_WORDS, ITEMS, ("text", "unheard"))
    yield from _sqlite_index(SUMMARY_WORDS, SUMMARY_TEXTS, ("words",))
    yield from _sqlite_summary_triggers()


def _sqlite_index(index: str, table: str, columns: tuple[str, ...]) -> Iterator[str]:
    names = ", ".join(columns)
    new, old = (", ".join(f"{row}.{name}" for name in columns) for row in ("new", "old"))
    remove = f"INSERT INTO {index} ({index}, rowid, {names}) VALUES ('delete', old.id, {old});"
    add = f"INSERT INTO {index} (rowid, {names}) VALUES (new.id, {new});"
    changed = " OR ".join(f"old.{name} IS NOT new.{name}" for name in ("id", *columns))
    yield (
        f"CREATE VIRTUAL TABLE IF NOT EXISTS {index} USING fts5({names}, content='{table}', "
        f"content_rowid='id', {_TOKENS})"
    )
    yield _trigger(f"{index}_added", f"AFTER INSERT ON {table}", add)
    yield _trigger(f"{index}_removed", f"AFTER DELETE ON {table}", remove)
    update = f"AFTER UPDATE OF id, {names} ON {table} WHEN {changed}"
    yield _trigger(f"{index}_changed", update, remove + add)


def _sqlite_summary_triggers() -> Iterator[str]:
    remove = f"DELETE FROM {SUMMARY_TEXTS} WHERE conversation_id = old.conversation_id;"
    new = f"SELECT new.conversation_id, {_summary_words('new.')} WHERE {_summarized('new.')}"
    add = f"INSERT INTO {SUMMARY_TEXTS} (conversation_id, words) {new};"
    yield _trigger(f"{SUMMARY_TEXTS}_added", f"AFTER INSERT ON {SUMMARIES}", add)
    yield _trigger(f"{SUMMARY_TEXTS}_removed", f"AFTER DELETE ON {SUMMARIES}", remove)
    update = f"AFTER UPDATE OF title, summary, key_points ON {SUMMARIES}"
    yield _trigger(f"{SUMMARY_TEXTS}_changed", update, remove + add)


def _summary_words(row: str = "") -> str:
    """JSON is taken apart: as it lies in the table its letters may be written as numbers."""
    points = f"(SELECT coalesce(group_concat(value, ' '), '') FROM json_each({row}key_points))"
    return f"{row}title || ' ' || {row}summary || ' ' || {points}"


def _summarized(row: str = "") -> str:
    return f"({row}title || {row}summary <> '' OR {row}key_points <> '[]')"


def _trigger(name: str, when: str, does: str) -> str:
    return f"CREATE TRIGGER IF NOT EXISTS {name} {when} BEGIN {does} END"


def _sqlite_fill() -> Iterator[str]:
    yield f"DELETE FROM {SUMMARY_TEXTS}"
    old = f"SELECT conversation_id, {_summary_words()} FROM {SUMMARIES} WHERE {_summarized()}"
    yield f"INSERT INTO {SUMMARY_TEXTS} (conversation_id, words) {old}"
    for index in (ITEM_WORDS, SUMMARY_WORDS):
        yield f"INSERT INTO {index} ({index}) VALUES ('rebuild')"


def _sqlite_remove() -> Iterator[str]:
    for name in _SQLITE_TRIGGERS:
        yield f"DROP TRIGGER IF EXISTS {name}"
    yield from (
        f"DROP TABLE IF EXISTS {name}" for name in (ITEM_WORDS, SUMMARY_WORDS, SUMMARY_TEXTS)
    )


_SQLITE_TRIGGERS = tuple(
    f"{table}_{event}"
    for table in (ITEM_WORDS, SUMMARY_WORDS, SUMMARY_TEXTS)
    for event in ("added", "removed", "changed")
)


def index_make(connection: BaseDatabaseWrapper) -> None:
    """Make the index, and fill it."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for statement in _postgresql_make():
                cursor.execute(statement)
        if connection.vendor == "sqlite":
            for statement in (*_sqlite_make(), *_sqlite_fill()):
                cursor.execute(statement)
            if sqlite_version_info >= _SECURE_DELETE_SINCE:
                for index in (ITEM_WORDS, SUMMARY_WORDS):
                    cursor.execute(
                        f"INSERT INTO {index} ({index}, rank) VALUES ('secure-delete', 1)"
                    )


def index_mend(connection: BaseDatabaseWrapper) -> None:
    """Make again what is missing of an index that was made, and fill it.

    Django rebuilds a table of SQLite to change it, and its triggers are lost with it.
    """
    if connection.vendor == "sqlite" and _sqlite_broken(connection):
        index_make(connection)


def index_remove(connection: BaseDatabaseWrapper) -> None:
    """Remove the index."""
    statements = {"postgresql": _postgresql_remove, "sqlite": _sqlite_remove}
    with connection.cursor() as cursor:
        for statement in statements[connection.vendor]() if connection.vendor in statements else ():
            cursor.execute(statement)


def index_optimize(connection: BaseDatabaseWrapper) -> None:
    """Have SQLite's index forget removed words for good: until then they stand in its pages."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        for index in (ITEM_WORDS, SUMMARY_WORDS):
            cursor.execute(f"INSERT INTO {index} ({index}) VALUES ('optimize')")


def _sqlite_broken(connection: BaseDatabaseWrapper) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'trigger')")
        there = {name for (name,) in cursor.fetchall()}
    return ITEM_WORDS in there and not there.issuperset(_SQLITE_TRIGGERS)
