"""Calls while the machine is in trouble: a full disk, a database that does not answer."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from calls.domain.audio import AGENT
from tests.server.callers import Caller
from tests.server.stored import Stored

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]

SMALL_DISK_MB = 72
"""A little more than a recording leaves free."""

IN_A_NAMESPACE = """#!/bin/sh
exec unshare --user --map-root-user --mount sh -c \
  'mount -t tmpfs -o size={size}m tmpfs "$VAR_DIR/recordings" && exec "$@"' sh "{python}" "$@"
"""


@pytest.fixture
def on_a_small_disk(tmp_path, monkeypatch, installation):
    """Servers keep their recordings on a disk of their own; how to fill it."""
    probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    if shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode:
        pytest.skip("a disk that fills up needs user namespaces, which this machine does not allow")
    wrapper = tmp_path / "python-on-a-small-disk"
    wrapper.write_text(IN_A_NAMESPACE.format(size=SMALL_DISK_MB, python=sys.executable))
    wrapper.chmod(0o755)
    monkeypatch.setattr("tests.servers.sys.executable", str(wrapper))

    def fill(server):
        inside = Path(f"/proc/{server.process.pid}/root{server.var_dir}/recordings")
        with suppress(OSError), (inside / "filler").open("wb", buffering=0) as filler:
            for _ in range(SMALL_DISK_MB):
                filler.write(bytes(1 << 20))
        assert shutil.disk_usage(inside).free < 1 << 20

    return fill


async def test_a_full_disk_ends_the_recording_and_not_the_call(
    on_a_small_disk, start_server, tmp_path
):
    var_dir = tmp_path / "var"
    (var_dir / "recordings").mkdir(parents=True)
    server = start_server(var_dir=var_dir)
    async with Caller(server.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        stored = Stored(var_dir)
        assert stored.recording(ready["call_id"])["state"] == "writing"
        on_a_small_disk(server)
        stored.until(lambda: stored.recording(ready["call_id"])["state"] == "truncated")
        assert "nine to five" in (await caller.asks("What are your opening hours?"))["text"]
        await caller.hangs_up()
    assert stored.ended(ready["call_id"])["end_reason"] == "caller_hung_up"
    recording = stored.recording(ready["call_id"])
    assert recording["state"] == "truncated"
    assert recording["duration_ms"] > 0


async def test_a_locked_database_is_not_heard(start_server):
    server = start_server()
    async with Caller(server.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        caller.hasty = False
        arrivals = []
        with closing(sqlite3.connect(server.var_dir / "db.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            locked_s = time.monotonic()
            await caller.types("How can I get to your office by bus?")
            while time.monotonic() - locked_s < 3:
                arrivals.append((time.monotonic() - locked_s, len(caller.frames)))
                await asyncio.sleep(0.05)
            stored = Stored(server.var_dir)
            assert len(stored.items(ready["call_id"])) == 1, "nothing could be written"
            other.execute("ROLLBACK")
        first_s = next(at_s for at_s, count in arrivals if count > arrivals[0][1])
        assert first_s < 1.9, "the answer did not wait for the database"
        response_id = max(caller.played_ms)
        heard_ms = caller.played_ms[response_id]
        assert (
            heard_ms > (3 - first_s) * 1_000 * 0.7
            or heard_ms > AGENT.ms(caller.sound(response_id)) - 600
        )
        await caller.hears_out(20)
        await caller.hangs_up()
        items = caller.items()
    stored.ended(ready["call_id"])
    rows = stored.items(ready["call_id"])
    assert {number: (row["text"], row["status"]) for number, row in rows.items()} == {
        number: (item["text"], item["status"]) for number, item in items.items()
    }
    assert len(rows) == 3
