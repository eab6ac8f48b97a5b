"""Clients from npm: their packages, installed once a machine, and programs that use them.

A client has a folder: `package.json` with pinned versions, its `package-lock.json`, and scripts.
The lock is made with

    npm install --package-lock-only --omit-lockfile-registry-resolved

so that no registry's address is in it. Nothing is installed into the repository.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.needs import INSISTS, machine_environment

INSTALL_S = 300
_DESCRIPTION = ("package.json", "package-lock.json")
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--omit-lockfile-registry-resolved")


def cache_folder() -> Path:
    """What is kept from one run of the tests to the next; this user's alone."""
    folder = Path(tempfile.gettempdir()) / f"voiceapp-interop-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owned = folder.stat()
    assert owned.st_mode & 0o077 == 0, f"others may write into {folder}"
    return folder


@contextmanager
def kept(name: str, key: bytes) -> Iterator[tuple[Path, bool]]:
    """A folder of that name for that key, and whether it is complete; one process at a time.

    A body that ends well makes it complete; else what is in it is thrown away by the next one.
    """
    folder = cache_folder() / f"{name}-{hashlib.sha256(key).hexdigest()[:16]}"
    complete = folder / ".complete"
    with FileLock(f"{folder}.lock", timeout=INSTALL_S):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        yield folder, complete.exists()
        complete.touch()


def lacking(reason: str) -> None:
    """What a test needs cannot be had: skip it; where nothing may be missing, fail."""
    (pytest.fail if INSISTS else pytest.skip)(reason)


@cache
def node_modules(folder: Path) -> Path:
    """The packages that the lock file in `folder` names, installed outside the repository.

    Skips the test when they cannot be had, or fails it where nothing may be missing.
    """
    key = b"".join((folder / name).read_bytes() for name in _DESCRIPTION)
    with kept(folder.name, key) as (place, complete):
        if not complete:
            for name in _DESCRIPTION:
                shutil.copy(folder / name, place)
            _npm_ci(place)
    return place / "node_modules"


def _npm_ci(place: Path) -> None:
    npm = shutil.which("npm") or pytest.fail("mark the test: interop", pytrace=False)
    done = ran([npm, "ci", *_QUIET], place, INSTALL_S, {})
    if done.returncode:
        lacking(f"npm ci could not install {place.name}: {done.stderr.splitlines()[-3:]}")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program left: what it printed, and each line of that which is a JSON object."""

    stdout: str
    stderr: str
    lines: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("type") == kind]


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A copy of the folder's scripts beside its packages, as Node.js looks for them."""
    modules = node_modules(folder)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-") as name:
        place = Path(name)
        for source in folder.iterdir():
            if source.is_file():
                shutil.copy(source, place)
        (place / "node_modules").symlink_to(modules, target_is_directory=True)
        yield place


def run_node(script: Path, *args: object, timeout_s: float = 60, **environment: str) -> Finished:
    """Run a script of a client's folder to its end, with that folder's packages.

    Blocks: beside a server in the same process, `await asyncio.to_thread(run_node, ...)`.

    Raises:
        AssertionError: it failed, or took longer; the message holds what it printed.
    """
    with workshop(script.parent) as place:
        command = [_node(), str(place / script.name), *map(str, args)]
        return finished(script, ran(command, place, timeout_s, environment))


def finished(script: Path, done: subprocess.CompletedProcess[str]) -> Finished:
    """What it left.

    Raises:
        AssertionError: it failed.
    """
    printed = f"{script.name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, printed
    return Finished(done.stdout, done.stderr, list(_objects(done.stdout)))


def _node() -> str:
    return shutil.which("node") or pytest.fail("mark the test: interop", pytrace=False)


def ran(
    command: list[str], place: Path, timeout_s: float, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run it in that place.

    Raises:
        AssertionError: it took longer; the message holds what it printed.
    """
    try:
        return subprocess.run(
            command,
            cwd=place,
            env=machine_environment(NO_COLOR="1", **environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = "\n".join(
            (text or b"").decode(errors="replace") for text in (late.output, late.stderr)
        )
        raise AssertionError(f"{command[1]} took more than {timeout_s} s:\n{said}") from None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue
