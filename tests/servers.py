"""The real server, as a process of its own, for tests that no in-process stand-in can answer."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from tests.needs import as_deployed

ROOT = Path(__file__).resolve().parent.parent
_READY_WITHIN_S = 90
_POLL_S = 0.02
_PASSWORD = re.compile(r"password (\S+)")


class RealServer:
    """One server process with a database, a secret and files of its own.

    Args:
        var_dir: where it keeps everything; made by `Installation`, or by hand.
        command: the words after `manage.py`.
        environment: variables on top of the machine's.

    Raises:
        RuntimeError: it ended, or was not ready in time; the message holds its log.
    """

    def __init__(self, var_dir: Path, command: tuple[str, ...], environment: dict[str, str]):
        self.var_dir = var_dir
        self.log_file = _unused(var_dir)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program(command)],
                cwd=ROOT,
                env=as_deployed(
                    VAR_DIR=str(var_dir), NO_BOOTSTRAP="1", PYTHONUNBUFFERED="1", **environment
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.url = self._wait_for_url()
        self.port = int(self.url.rpartition(":")[2])
        self.ws_url = self.url.replace("http", "ws", 1)

    def program(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """The words after `python`."""
        return (str(ROOT / "manage.py"), *command, "--port", "0")

    def log(self) -> str:
        """Everything it has printed and logged so far."""
        return self.log_file.read_text(errors="replace")

    def rss_bytes(self) -> int:
        """How much memory it holds; Linux only."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def terminate(self, timeout_s: float = 30) -> int:
        """Ask it to end, as a supervisor does; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """End it, and whatever it started, without a chance to do anything."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def _wait_for_url(self) -> str:
        give_up_s = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < give_up_s and self.process.poll() is None:
            said = r"(?:Serving on|Call page|running on) +(http://\S+:\d+)"
            found = re.search(said, self.log())
            if found:
                return found[1]
            time.sleep(_POLL_S)
        self.kill()
        raise RuntimeError(f"the server did not start:\n{self.log()}")


class Uvicorn(RealServer):
    """The same application on uvicorn, with the flags that `docs/operating.md` recommends."""

    FLAGS = (
        "--ws", "websockets-sansio", "--ws-per-message-deflate", "false",
        "--ws-max-size", "2097152", "--ws-ping-interval", "10", "--ws-ping-timeout", "10",
        "--limit-concurrency", "1000", "--backlog", "1024", "--no-server-header",
        "--timeout-graceful-shutdown", "5",
    )  # fmt: skip

    @override
    def program(self, command: tuple[str, ...]) -> tuple[str, ...]:
        return ("-m", "uvicorn", *self.FLAGS, "--port", "0", "voiceapp.asgi:application")


def _unused(var_dir: Path) -> Path:
    """A log file for each process, also where several run one after the other."""
    return var_dir / f"server{len(list(var_dir.glob('server*.log')))}.log"


@dataclass(frozen=True, slots=True)
class Installation:
    """What `up` prepares, made once and copied for each server."""

    template: Path
    admin_password: str

    @classmethod
    def made_in(cls, template: Path) -> "Installation":
        """Run `up` once, in an empty folder."""
        server = RealServer(template, ("up",), {})
        try:
            password = _PASSWORD.search(server.log())
            assert password, server.log()
            assert server.terminate() == 0, server.log()
        finally:
            server.kill()
        return cls(template, password[1])

    def start(
        self, var_dir: Path, environment: dict[str, str], on: type[RealServer] = RealServer
    ) -> RealServer:
        """Start a server on a copy; `var_dir` may be there already, from a server before."""
        if not (var_dir / "db.sqlite3").exists():
            left_out = shutil.ignore_patterns("static", "server*.log")
            shutil.copytree(self.template, var_dir, ignore=left_out, dirs_exist_ok=True)
        # One recogniser starts in half the time of two, and hardly anybody speaks at once.
        shared = {"STATIC_ROOT": str(self.template / "static"), "SPEECH_WORKERS": "1"}
        return on(var_dir, ("serve",), shared | environment)
