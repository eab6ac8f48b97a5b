"""Makes `.venv` and fills it: all of it, or none. Standard library only."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from voiceapp.complaints import MEGABYTE, NEEDED_BYTES, SetupError, explain, explain_os_error

_REPORT_EVERY_S = 5.0
_PIP_OPTIONS = (
    "--no-input",
    "--progress-bar=off",
    "--retries=2",
    "--only-binary=:all:",  # a compiler that is not there would make for a long, dark message
    "--no-compile",  # most modules are never imported; Python compiles the others when they are
)


class Installation:
    """The virtual environment of the project, and what has to be in it.

    Args:
        root: the project's folder.
        requirements: files for pip; the environment is complete when all of them are installed.
    """

    def __init__(self, root: Path, requirements: Sequence[Path]) -> None:
        self.place = root / ".venv"
        self.requirements = requirements
        self.python = self.place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self._unfinished = self.place / ".unfinished"

    def complete(self) -> bool:
        """Whether every file of requirements is installed as it stands."""
        return (
            self.python.exists()
            and not self._unfinished.exists()
            and all(_read(self._stamp(file)) == self._mark(file) for file in self.requirements)
        )

    def complete_it(self) -> None:
        """Install what is missing. An environment that is begun here and fails is removed again.

        Raises:
            SetupError: it did not work; the message says why.
        """
        try:
            with _terminable(), _one_at_a_time(self.place.parent):
                if not self.complete():  # by whom we waited for
                    self._install()
        except OSError as error:
            raise SetupError(explain_os_error(error, self.place)) from error

    def _install(self) -> None:
        if self._unusable():
            shutil.rmtree(self.place)
        fresh = not self.python.exists()
        try:
            if fresh:
                self._make()
            self._fill()
        except BaseException:
            if fresh and self._unfinished.exists():
                _remove(self.place)
            raise

    def _unusable(self) -> bool:
        """Whether the environment is ours and cannot be built on: begun, or without its Python."""
        ours = any(self.place.glob(".installed-*"))
        return self._unfinished.exists() or (ours and not self.python.exists())

    def _make(self) -> None:
        _refuse_little_space(self.place.parent, NEEDED_BYTES * len(self.requirements))
        _refuse_missing_venv()
        if self.place.exists():
            raise SetupError(f"{self.place} is there but has no Python in it: remove it.")
        import venv

        with _Progress("Virtual environment"):
            self.place.mkdir()
            self._unfinished.touch()
            try:
                venv.create(self.place, with_pip=True, symlinks=os.name != "nt")
            except subprocess.CalledProcessError as error:
                output = (error.output or b"").decode(errors="replace")
                raise SetupError(explain(output, self.place)) from error

    def _fill(self) -> None:
        for file in self.requirements:
            self._stamp(file).unlink(missing_ok=True)
        with _Progress("Packages") as progress:
            output, failed = self._pip(progress)
        if failed:
            raise SetupError(explain(output, self.place))
        for file in self.requirements:
            self._stamp(file).write_text(self._mark(file))
        self._unfinished.unlink(missing_ok=True)

    def _pip(self, progress: "_Progress") -> tuple[str, bool]:
        """Run pip; what it said, and whether it failed."""
        files = [part for file in self.requirements for part in ("-r", str(file))]
        command = [str(self.python), "-u", "-m", "pip", "install", *_PIP_OPTIONS, *files]
        said: list[str] = []
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as pip:
            assert pip.stdout is not None
            try:
                for line in pip.stdout:
                    said.append(line)
                    progress.says(_stage(said, self._names()))
            except BaseException:
                pip.terminate()
                raise
        return "".join(said), pip.returncode != 0

    def _names(self) -> int:
        """How many packages the files name."""
        lines = [line for file in self.requirements for line in _read(file).splitlines()]
        return len({line.partition("==")[0] for line in lines if "==" in line})

    def _stamp(self, file: Path) -> Path:
        return self.place / f".installed-{file.name}"

    def _mark(self, file: Path) -> str:
        """Changes whenever the file or the environment's Python does."""
        python = _read(self.place / "pyvenv.cfg")
        return hashlib.sha256(f"{python}\n{_read(file)}".encode()).hexdigest()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _remove(place: Path) -> None:
    """Remove what was begun, whatever else comes in."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    shutil.rmtree(place, ignore_errors=True)
    for number, handler in zip(numbers, previous, strict=True):
        signal.signal(number, handler)


def _refuse_little_space(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise SetupError(
            f"Not enough disk space in {folder}: {free_bytes // MEGABYTE} MB are free, "
            f"{needed_bytes // MEGABYTE} MB are needed."
        )


def _refuse_missing_venv() -> None:
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        minor = sys.version_info.minor
        raise SetupError(
            "This Python cannot make virtual environments. On Debian or Ubuntu: "
            f"sudo apt install python3-venv  (or python3.{minor}-venv)"
        )


def _stage(said: list[str], names: int) -> str:
    """What pip is at, from what it has said."""
    if any(line.startswith("Installing collected") for line in said):
        return "installing"
    found = sum(line.startswith("Collecting ") for line in said)
    return f"downloading, {min(found, names)} of {names}"


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM clean up as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until nobody else sets up an environment in the same folder."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


class _Progress:
    """One step's name, what it is at and its seconds: a living line, or one now and then."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._doing = ""
        self._alive = sys.stdout.isatty()
        self._over = threading.Event()
        self._began_s = time.monotonic()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def says(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> "_Progress":
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        self._thread.join()
        if failure[0] is None:
            self._doing = "done"
        self._print(end="\n")

    def _tick(self) -> None:
        while not self._over.wait(0.5 if self._alive else _REPORT_EVERY_S):
            self._print(end="" if self._alive else "\n")

    def _print(self, *, end: str) -> None:
        elapsed_s = time.monotonic() - self._began_s
        line = f"{self._step:<20} {self._doing:<24} {elapsed_s:5.1f} s"
        print(f"\r{line}" if self._alive else line, end=end, flush=True)
