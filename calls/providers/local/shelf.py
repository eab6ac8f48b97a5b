"""The folder of downloaded models: a folder for each, and a note of what came."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calls.providers.local.catalogue import LocalModel, RemoteFile
from calls.providers.local.download import PARTIAL, STALL_S, download, file_sha256
from calls.providers.local.errors import LocalModelError

NOTE = "installed.json"
"""Written last into the folder of a model; without it the model is not complete."""

TRUSTED = "checksums.json"
"""Checksums of first downloads by model and file; stays when a model is removed."""

_MARGIN_BYTES = 16 * 1024 * 1024

Told = Callable[[RemoteFile, int], None]
"""Told how many bytes of a file are there."""


class Shelf:
    """Downloaded models below one folder.

    Args:
        stall_s: how long a server may say nothing.
    """

    def __init__(self, folder: Path, *, stall_s: float = STALL_S) -> None:
        self._folder = folder
        self._stall_s = stall_s

    def folder(self, name: str) -> Path:
        """Where the files of a model are."""
        return self._folder / name

    def installed(self, name: str) -> bool:
        return (self.folder(name) / NOTE).is_file()

    def installed_of(self, engine: str) -> dict[str, tuple[str, ...]]:
        """The complete models of an engine and their languages, sorted by name."""
        read = {path.parent.name: _read(path) for path in sorted(self._folder.glob(f"*/{NOTE}"))}
        return {
            name: tuple(note["languages"])
            for name, note in read.items()
            if note["engine"] == engine
        }

    def unknown(self, model: LocalModel) -> tuple[str, ...]:
        """Files whose checksum neither the catalogue nor an earlier download tells."""
        trusted = self._trusted(model)
        return tuple(f.name for f in model.files if not (f.sha256 or trusted.get(f.name)))

    def missing_bytes(self, model: LocalModel) -> int:
        """About how much has to be downloaded still."""
        return sum(max(0, f.size_bytes - self._have_bytes(model, f)) for f in model.files)

    def install(self, model: LocalModel, told: Told, *, trusting: bool = False) -> None:
        """Download what is missing and verify everything.

        Args:
            trusting: take files whose checksum nobody knows, and remember what came.

        Raises:
            LocalModelError: why it cannot be installed; what came so far stays for the next try.
        """
        if (unknown := self.unknown(model)) and not trusting:
            raise LocalModelError(
                f"No checksum is known for {', '.join(unknown)} of {model.name}; "
                "--trust-first-download takes what comes and remembers its checksum."
            )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._check_space(model)
            folder = self.folder(model.name)
            folder.mkdir(exist_ok=True)
            sums = {file.name: self._have(model, file, told) for file in model.files}
            note = {"engine": model.engine, "languages": model.languages, "sha256": sums}
            _write(folder / NOTE, note)
        except OSError as error:
            raise LocalModelError(f"{error.filename or self._folder}: {error.strerror}.") from error

    def remove(self, name: str) -> None:
        """Delete a model, or what there is of it; its remembered checksums stay.

        Raises:
            LocalModelError: there is nothing of that name, or it cannot be deleted.
        """
        folder = self.folder(name)
        elsewhere = folder.parent != self._folder or name.startswith(".")
        if elsewhere or not name or not folder.is_dir():
            raise LocalModelError(f"{name} is not installed.")
        try:
            (folder / NOTE).unlink(missing_ok=True)
            shutil.rmtree(folder)
        except OSError as error:
            raise LocalModelError(f"{name} cannot be removed: {error.strerror}.") from error

    def _have(self, model: LocalModel, file: RemoteFile, told: Told) -> str:
        """Have one file in its place; its checksum."""
        target = self.folder(model.name) / file.name
        wanted = file.sha256 or self._trusted(model).get(file.name)
        if wanted and target.is_file():
            if file_sha256(target) == wanted:
                return wanted
            target.unlink()
        expected = RemoteFile(file.name, file.url, file.size_bytes, wanted)
        sha256 = download(
            expected, target, lambda got_bytes: told(file, got_bytes), stall_s=self._stall_s
        )
        if file.sha256 is None:
            self._trust(model, file, sha256)
        return sha256

    def _have_bytes(self, model: LocalModel, file: RemoteFile) -> int:
        target = self.folder(model.name) / file.name
        partial = target.with_name(target.name + PARTIAL)
        found = next((path for path in (target, partial) if path.exists()), None)
        return found.stat().st_size if found else 0

    def _check_space(self, model: LocalModel) -> None:
        needed_bytes = self.missing_bytes(model) + _MARGIN_BYTES
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < needed_bytes:
            raise LocalModelError(
                f"{model.name} needs {needed_bytes // 10**6} MB; "
                f"{self._folder} has {free_bytes // 10**6} MB free."
            )

    def _trusted(self, model: LocalModel) -> dict[str, str]:
        known: dict[str, str] = _read(self._folder / TRUSTED).get(model.name, {})
        return known

    def _trust(self, model: LocalModel, file: RemoteFile, sha256: str) -> None:
        path = self._folder / TRUSTED
        known = _read(path)
        known[model.name] = self._trusted(model) | {file.name: sha256}
        _write(path, known)


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise LocalModelError(f"{path} is damaged; remove it and install again.") from error
    return dict(read)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write as a whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(content, indent=1), "utf-8")
    fresh.replace(path)
