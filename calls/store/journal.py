"""Where records wait while the database is away: one file a process, one unit a line."""

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from calls.store.units import Unit, unit_read

SUFFIX = ".jsonl"
REFUSED = "refused.log"
"""Units that the database refuses for good, kept for a person to look at."""

_MODE = 0o600


class Journal:
    """The journal of this process. Its lock says that the process lives.

    Used by one thread. The file exists only while it was needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None
        self._path: Path | None = None
        self.size_bytes = 0
        """What of the file is complete and on disk."""

    @property
    def path(self) -> Path:
        assert self._path is not None
        return self._path

    def append(self, units: Iterable[Unit]) -> None:
        """Add the units; when this returns they survive a crash.

        Raises:
            OSError: they are not in the journal; it is as it was before.
        """
        file = self._file if self._file is not None else self._open()
        data = b"".join(unit.line() for unit in units)
        try:
            _write_all(file, data)
            os.fsync(file)
        except OSError:
            os.ftruncate(file, self.size_bytes)
            raise
        self.size_bytes += len(data)

    def clear(self) -> None:
        """All of it is in the database."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
        self.size_bytes = 0

    def close(self) -> None:
        """Let go of the file, and remove it when nothing waits in it."""
        if self._file is None:
            return
        if not self.size_bytes:
            self.path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = None

    def _open(self) -> int:
        """A new file; it gets its name only once it is locked, so that nobody takes it for dead."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{os.getpid()}-{token_hex(6)}{SUFFIX}"
        fresh = path.with_suffix(".new")
        file = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, _MODE)
        fcntl.flock(file, fcntl.LOCK_EX)
        fresh.rename(path)
        _sync_folder(self.folder)
        self._file, self._path = file, path
        return file


def refused_keep(folder: Path, units: Iterable[Unit]) -> None:
    """Keep units that the database refuses for good.

    Raises:
        OSError: they could not be kept.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _refused(folder, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as file:
        _write_all(file, b"".join(unit.line() for unit in units))


def refused_forget(folder: Path, call_ids: Collection[str]) -> None:
    """Have the kept units of these calls be gone; a kill leaves all of them or none.

    Raises:
        OSError: they are still there.
    """
    if not (folder / REFUSED).exists():
        return
    with _refused(folder, os.O_RDONLY) as file, os.fdopen(os.dup(file), "rb") as lines:
        kept = [line for line in lines if not _line_names(line, call_ids)]
        _replace(folder / REFUSED, b"".join(kept))


def journals_hold(folder: Path, call_ids: Collection[str]) -> bool:
    """Whether units of these calls wait in a journal, or stand in one that is being worked off."""
    for path in folder.glob(f"*{SUFFIX}"):
        try:
            with path.open("rb") as lines:
                if any(_line_names(line, call_ids) for line in lines):
                    return True
        except FileNotFoundError:
            continue
    return False


def _line_names(line: bytes, call_ids: Collection[str]) -> bool:
    """Whether a line is of one of the calls. Of a torn one its bytes decide."""
    try:
        return unit_read(line).call_id in call_ids
    except (ValueError, TypeError):
        return any(call_id.encode() in line for call_id in call_ids)


@contextmanager
def _refused(folder: Path, flags: int) -> Iterator[int]:
    """The file of refused units, locked: nobody replaces it while another adds to it."""
    path = folder / REFUSED
    while True:
        file = os.open(path, flags, _MODE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                yield file
                return
        finally:
            os.close(file)


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    try:
        _write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    fresh.replace(path)
    _sync_folder(path.parent)


def journal_read(path: Path, offset: int, end: int, limit: int) -> tuple[list[Unit], int]:
    """Up to `limit` units between two bytes, and the byte at which the next one begins.

    Lines that cannot be read are passed over: a last line that a kill tore was never acknowledged.
    """
    units: list[Unit] = []
    with path.open("rb") as file:
        file.seek(offset)
        while len(units) < limit and offset < end:
            line = file.readline()
            offset += len(line)
            try:
                units.append(unit_read(line))
            except (ValueError, TypeError):
                continue
    return units, offset


def journals_orphaned(folder: Path) -> Iterator[Path]:
    """Journals of processes that are gone. Each stays locked until the next one is asked for."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with _taken(path) as taken:
            if taken:
                yield path


@contextmanager
def _taken(path: Path) -> Iterator[bool]:
    """Hold the lock of `path`, unless its process lives or somebody else was first."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _locked(file) and path.exists()
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
