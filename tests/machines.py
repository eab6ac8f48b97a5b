"""Database and Redis servers of a test's own, to be stopped, frozen and killed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

_POLL_S = 0.02
_SUPERUSER = "postgres"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_programs() -> Path | None:
    """Where `initdb` and `pg_ctl` are: Debian keeps them off the path."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda it: it.parent.name)
    return next((place for place in reversed(places) if (place / "initdb").exists()), None)


def can_run_postgres() -> bool:
    """Whether a PostgreSQL server can be made here; it refuses to run as root."""
    if postgres_programs() is None:
        return False
    if os.geteuid() != 0:
        return True
    known = subprocess.run(["id", _SUPERUSER], capture_output=True, check=False)
    return known.returncode == 0 and shutil.which("runuser") is not None


class OwnPostgres:
    """A PostgreSQL server with nothing in it, on a port of its own."""

    def __init__(self) -> None:
        programs = postgres_programs()
        assert programs is not None, "mark the test: own_postgres"
        self._programs = programs
        self._place = Path(tempfile.mkdtemp(prefix="voiceapp-postgres-"))
        self._data = self._place / "data"
        self._frozen: list[int] = []
        self.port = free_port()
        try:
            self._make()
            self.start()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self._place, _SUPERUSER)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", _SUPERUSER, "--no-sync",
                  "-E", "UTF8", "--locale=C.UTF-8")  # fmt: skip

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{_SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    def start(self) -> None:
        options = f"-p {self.port} -k {self._place} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._control("start", "-w", "-o", options, "-l", str(self._place / "log"))

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; "immediate": without a word to anybody."""
        self._control("stop", "-w", "-m", mode)

    def restart(self) -> None:
        self.stop("fast")
        self.start()

    def freeze(self) -> None:
        """It keeps its connections, and answers nothing."""
        postmaster = self._postmaster()
        self._frozen = [postmaster]
        os.kill(postmaster, signal.SIGSTOP)
        self._frozen += _children(postmaster)
        for pid in self._frozen[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in reversed(self._frozen):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen = []

    def close(self) -> None:
        """End it, whatever state it is in, and remove what it kept."""
        self.thaw()
        try:
            if (self._data / "postmaster.pid").exists():
                self._end()
        finally:
            shutil.rmtree(self._place, ignore_errors=True)

    def _end(self) -> None:
        try:
            self.stop()
        except AssertionError:
            with suppress(ProcessLookupError, FileNotFoundError):
                os.kill(self._postmaster(), signal.SIGKILL)  # the others see it go, and follow

    def _postmaster(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-s", *words)

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        if os.geteuid() == 0:
            command = ["runuser", "-u", _SUPERUSER, "--", *command]
        # Not captured: the server would keep the pipe open.
        done = subprocess.run(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 0, f"{program}: {self._log()}"

    def _log(self) -> str:
        log = self._place / "log"
        return log.read_text(errors="replace")[-3_000:] if log.exists() else ""


def _children(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in found.split()]


class OwnRedis:
    """A Redis server that keeps nothing, on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        words = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly",
                 "no", "--dir", tempfile.gettempdir())  # fmt: skip
        self._process = subprocess.Popen(
            ["redis-server", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    def _wait(self) -> None:
        give_up_s = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < give_up_s, "redis-server did not start"
            time.sleep(_POLL_S)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    close = kill

    def command(self, *words: str) -> bytes:
        """Send one command; the beginning of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(1_000)

    def _answers(self) -> bool:
        try:
            return self.command("PING") == b"+PONG\r\n"
        except OSError:
            return False
