"""After an erase a search of every byte finds nothing, also when it was killed half-way."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import pytest

from tests.needs import POSTGRES_URL, as_deployed

ROOT = Path(__file__).parents[2]
CALLS_EACH = 3


def environment(folder: Path, url: str) -> dict[str, str]:
    return as_deployed(
        VAR_DIR=str(folder),
        DATABASE_URL=url,
        DJANGO_SETTINGS_MODULE="voiceapp.settings",
        PYTHONPATH=str(ROOT),
        NO_BOOTSTRAP="1",
    )


def run(env: dict[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    return done.stdout


def erased(folder: Path, url: str, kills: int, *words: str) -> dict:
    env = environment(folder, url)
    run(env, "manage.py", "migrate", "--skip-checks", "-v0")
    script = "tests/privacy/erased.py"
    return json.loads(run(env, script, str(kills), *words).splitlines()[-1])


def holding(folder: Path, canary: str) -> list[str]:
    """Files that hold the canary; its beginning may be left out, as an index does it."""
    needle = canary[3:].encode()
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if needle in path.read_bytes()]


def all_was_erased(told: dict) -> None:
    assert [entry["cut"]["killed"] for entry in told["erased"][1:]] == [True] * (
        len(told["erased"]) - 1
    )
    for entry in told["erased"]:
        assert (entry["again"]["state"], entry["again"]["killed"]) == ("done", False)
    assert told["erased"][0]["again"]["conversations"] == CALLS_EACH
    assert told["erased"][0]["again"]["recordings"] == CALLS_EACH


@pytest.mark.timeout(150)
def test_sqlite_journals_and_folders_hold_nothing(tmp_path):
    told = erased(tmp_path, f"sqlite:///{tmp_path}/db.sqlite3", 6)
    all_was_erased(told)
    kept = holding(tmp_path, told["kept"])
    assert {"db.sqlite3", "journal/refused.log"} <= set(kept)
    assert len([name for name in kept if name.startswith("recordings/")]) == CALLS_EACH
    assert len([name for name in kept if name.startswith("debug/")]) == CALLS_EACH
    for entry in told["erased"]:
        assert holding(tmp_path, entry["canary"]) == [], entry


@pytest.fixture
def postgres() -> Iterator[str]:
    import psycopg

    name = f"erased_{token_hex(4)}"
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def data_files(url: str) -> Path | None:
    """The folder of the database's own files, if we may read it."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        (place,) = connection.execute("SHOW data_directory").fetchone()
        (oid,) = connection.execute(
            "SELECT oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    folder = Path(place) / "base" / str(oid)
    return folder if os.access(folder, os.R_OK | os.X_OK) else None


@pytest.mark.postgres
@pytest.mark.timeout(200)
def test_postgresql_dump_and_after_a_full_vacuum_its_files_hold_nothing(tmp_path, postgres):
    told = erased(tmp_path, postgres, 3, "--full")
    all_was_erased(told)
    dump = subprocess.run(["pg_dump", postgres], capture_output=True, check=True).stdout
    assert told["kept"].encode() in dump
    folder = data_files(postgres)
    if folder:
        assert holding(folder, told["kept"])
    for entry in told["erased"]:
        assert entry["canary"].encode() not in dump
        assert holding(tmp_path, entry["canary"]) == []
        assert folder is None or holding(folder, entry["canary"]) == []
