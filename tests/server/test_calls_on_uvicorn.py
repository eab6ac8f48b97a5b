"""The application runs on another server as well: the one for large installations."""

import re
import shutil
import subprocess
import sys
import time

import pytest

from tests.needs import machine_environment
from tests.server.callers import Caller
from tests.server.stored import Stored
from tests.servers import ROOT

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]

READY_WITHIN_S = 30


class Uvicorn:
    """The application on uvicorn, with files of its own."""

    def __init__(self, var_dir):
        words = ("--port", "0", "--ws", "websockets-sansio", "--ws-per-message-deflate", "false")
        self.var_dir = var_dir
        self.log_file = var_dir / "uvicorn.log"
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", *words, "voiceapp.asgi:application"],
                cwd=ROOT,
                env=machine_environment(VAR_DIR=str(var_dir)),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.ws_url = f"ws://127.0.0.1:{self._port()}"

    def _port(self):
        give_up_s = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < give_up_s and self.process.poll() is None:
            found = re.search(r"running on http://127.0.0.1:(\d+)", self.log_file.read_text())
            if found:
                return int(found[1])
            time.sleep(0.05)
        raise AssertionError(self.log_file.read_text())


@pytest.fixture
def uvicorn(installation, tmp_path):
    shutil.copytree(installation.template, tmp_path / "var")
    started = Uvicorn(tmp_path / "var")
    yield started
    started.process.kill()
    started.process.wait(10)


async def test_a_call_its_return_and_its_end(uvicorn):
    async with Caller(uvicorn.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        assert "nine to five" in (await caller.asks("What are your opening hours?"))["text"]
        await caller.types("How do I get to your office by bus?")
        await caller.until(lambda: len(caller.played_ms) == 3)
        await caller.drop()
        assert (await caller.come_back())["resumed"] is True
        await caller.hears_out()
        uvicorn.process.terminate()
        assert await caller.closed() in (1000, 1012)
    assert uvicorn.process.wait(20) in (0, -15)
    stored = Stored(uvicorn.var_dir)
    assert stored.conversation(ready["call_id"])["end_reason"] == "restarted"
    assert [row["status"] for row in stored.items(ready["call_id"]).values()] == ["complete"] * 5
    assert stored.recording(ready["call_id"])["state"] == "complete"
