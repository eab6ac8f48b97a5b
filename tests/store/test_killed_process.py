"""kill -9: what was acknowledged is on the record, the call is closed, the recording plays."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import needs
from tests.store.factories import ITEMS

ROOT = Path(__file__).parents[2]


class Place:
    """An installation of its own: database, journal and recordings below one folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.database = folder / "db.sqlite3"
        self.environment = needs.as_deployed(
            VAR_DIR=str(folder),
            DATABASE_URL=f"sqlite:///{self.database}",
            DJANGO_SETTINGS_MODULE="voiceapp.settings",
            PYTHONPATH=str(ROOT),
        )
        self.manage("migrate", "--skip-checks")

    def manage(self, *words: str) -> str:
        command = [
            sys.executable,
            "manage.py",
            *words,
            "-v0" if words[0] == "migrate" else "--no-color",
        ]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=50
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, call_id: str) -> subprocess.Popen:
        script = [sys.executable, str(Path(__file__).parent / "killed.py"), call_id]
        return subprocess.Popen(
            script, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True
        )

    def query(self, sql: str) -> list[tuple]:
        connection = sqlite3.connect(self.database)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    return Place(tmp_path_factory.mktemp("killed"))


@dataclass
class Acknowledged:
    """Numbers of what was acknowledged."""

    items: list[int] = field(default_factory=list)
    uses: list[int] = field(default_factory=list)

    def take(self, line: str) -> None:
        kind, _, number = line.strip().partition(" ")
        {"item": self.items, "use": self.uses}[kind].append(int(number))


def acknowledged_until(
    process: subprocess.Popen, enough: Callable[[Acknowledged], bool]
) -> Acknowledged:
    """Read acknowledgements until there are enough, kill the process, read the rest."""
    told = Acknowledged()
    for line in process.stdout:
        if line != "ready\n":
            told.take(line)
        if enough(told):
            break
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    for line in rest.splitlines():
        told.take(line)
    return told


def stored_items(place: Place, call_id: str) -> set[int]:
    rows = place.query(
        f"select item_id from calls_item where conversation_id='{call_id}' and role='agent'"
    )
    return {item_id for (item_id,) in rows}


def stored_uses(place: Place, call_id: str) -> list[int]:
    rows = place.query(
        f"select number from calls_serviceuse where conversation_id='{call_id}' order by number"
    )
    return [number for (number,) in rows]


def closed_as_interrupted(place: Place, call_id: str) -> None:
    status = place.query(
        f"select status, end_reason, duration_ms > 0 from calls_conversation where call_id='{call_id}'"
    )
    assert status == [("ended", "interrupted", 1)]
    running = place.query(
        f"select distinct status from calls_item where conversation_id='{call_id}' and role='tool'"
    )
    assert running == [("interrupted",)]
    summary = place.query(f"select state from calls_summary where conversation_id='{call_id}'")
    assert summary == [("pending",)]


@pytest.mark.timeout(120)
def test_no_acknowledged_item_is_lost(place):
    process = place.start("killed-1")
    started_s = time.monotonic()
    told = acknowledged_until(
        process, lambda so_far: len(so_far.uses) > 100 and time.monotonic() - started_s > 3
    )
    assert len(told.uses) > 100
    assert set(told.items) <= stored_items(place, "killed-1")
    assert set(told.uses) <= set(stored_uses(place, "killed-1"))

    said = place.manage("reap_calls")

    assert "Calls closed: 1. Recordings repaired: 1." in said
    closed_as_interrupted(place, "killed-1")
    ((path, state, duration_ms, size_bytes),) = place.query(
        "select path, state, duration_ms, size_bytes from calls_recording"
        " where conversation_id='killed-1'"
    )
    file = place.folder / "recordings" / path
    assert state == "truncated"
    assert duration_ms > 500
    assert file.stat().st_size == size_bytes
    assert int.from_bytes(file.read_bytes()[40:44], "little") == size_bytes - 44
    assert "Calls closed: 0. Recordings repaired: 0." in place.manage("reap_calls")


@pytest.mark.timeout(120)
def test_what_waits_for_the_database_is_not_lost_either(place):
    process = place.start("killed-2")
    assert process.stdout.readline() == "ready\n"
    process.stdout.readline()
    lock = sqlite3.connect(place.database, isolation_level=None, timeout=30)
    lock.execute("begin immediate")
    started_s = time.monotonic()
    told = acknowledged_until(process, lambda so_far: time.monotonic() - started_s > 4)
    lock.execute("rollback")
    lock.close()
    assert set(told.items) - stored_items(place, "killed-2"), "the journal was not needed"
    assert set(told.uses) - set(stored_uses(place, "killed-2")), "the journal was not needed"

    place.manage("reap_calls")

    assert set(told.items) <= stored_items(place, "killed-2")
    uses = stored_uses(place, "killed-2")
    assert set(told.uses) <= set(uses)
    assert len(uses) == len(set(uses))
    closed_as_interrupted(place, "killed-2")
    assert list((place.folder / "journal").glob("*")) == []


@pytest.mark.timeout(120)
def test_a_live_call_is_left_alone(place):
    process = place.start("alive")
    try:
        assert process.stdout.readline() == "ready\n"
        place.manage("reap_calls")
        status = place.query("select status from calls_conversation where call_id='alive'")
        assert status == [("active",)]
    finally:
        process.kill()
        process.communicate()
        place.manage("reap_calls")


@pytest.mark.timeout(120)
def test_a_process_that_ends_by_itself_writes_what_it_has(place):
    code = """
import asyncio, django
django.setup()
from tests.store.factories import opened, ITEMS
from calls.store.recordings import recording_open
from calls.store.units import unit_item
async def main():
    records = await opened("ended")
    recording_open("ended").caller(0, bytes(32_000))
    for item in ITEMS:
        records._gateway.submit(unit_item("ended", item))
asyncio.run(main())
"""
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=ROOT, env=place.environment, check=True, timeout=50)
    ((count,),) = place.query("select count(*) from calls_item where conversation_id='ended'")
    assert count == len(ITEMS)
    place.manage("reap_calls")
    ((state, duration_ms),) = place.query(
        "select state, duration_ms from calls_recording where conversation_id='ended'"
    )
    assert (state, duration_ms) == ("truncated", 1_000)
