"""A server process whose application the tests steer."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.needs import machine_environment

PROGRAM = Path(__file__).with_name("probe_application.py")


class Probe:
    """The program `probe_application.py`, ready."""

    def __init__(self, log_file: Path, *words: str) -> None:
        self.log_file = log_file
        with log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), *words],
                env=machine_environment(DJANGO_SETTINGS_MODULE="voiceapp.settings"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait()
        self.port = int(self.log().partition("port ")[2].split()[0])

    def log(self) -> str:
        return self.log_file.read_text()

    def rss_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_status(self) -> int:
        return self.process.wait(20)

    def _wait(self) -> None:
        give_up_s = time.monotonic() + 20
        while "ready" not in self.log() and self.process.poll() is None:
            assert time.monotonic() < give_up_s, self.log()
            time.sleep(0.02)


@pytest.fixture
def start_probe(tmp_path: Path) -> Iterator[Callable[..., Probe]]:
    """Start the steered server; it is killed at the end."""
    started: list[Probe] = []

    def start(*words: str) -> Probe:
        started.append(Probe(tmp_path / f"probe{len(started)}.log", *words))
        return started[-1]

    yield start
    for probe in started:
        with contextlib.suppress(ProcessLookupError):
            probe.process.kill()
        probe.process.wait(10)


@pytest.fixture
def probe(start_probe: Callable[..., Probe]) -> Probe:
    return start_probe()
