"""A management command as a process of its own, and the addresses that lead to stand-ins."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.needs import as_deployed
from tests.servers import ROOT

PATIENCE_S = 60
_POLL_S = 0.05


def manage(*words: str, var_dir: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env=_environment(var_dir, environment),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@contextlib.contextmanager
def running(log_file: Path, *words: str, var_dir: Path, **environment: str) -> Iterator["Program"]:
    """A command that goes on; it is killed at the end, if it has not ended by then."""
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), *words],
            env=_environment(var_dir, environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Program(process, log_file)
    finally:
        process.kill()
        process.wait(10)


class Program:
    def __init__(self, process: "subprocess.Popen[bytes]", log_file: Path) -> None:
        self.process = process
        self._log_file = log_file

    def log(self) -> str:
        return self._log_file.read_text()

    def says(self, words: str) -> str:
        """Wait until it has said this; all it has said."""
        give_up_s = time.monotonic() + PATIENCE_S
        while words not in self.log():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < give_up_s, self.log()
            time.sleep(_POLL_S)
        return self.log()

    def interrupt(self) -> int:
        """As Ctrl-C does; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)


def addresses(openai: str = "", elevenlabs: str = "", key: str = "test-key") -> dict[str, str]:
    """Variables that lead to stand-ins at these origins."""
    found = {}
    if openai:
        found |= {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": f"{openai}/v1"}
    if elevenlabs:
        found |= {"ELEVENLABS_API_KEY": key, "ELEVENLABS_BASE_URL": elevenlabs}
    return found


def _environment(var_dir: Path, changes: dict[str, str]) -> dict[str, str]:
    return as_deployed(VAR_DIR=str(var_dir), NO_BOOTSTRAP="1", PYTHONUNBUFFERED="1", **changes)
