"""Which models there are to download, where, and under which terms."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from calls.providers.local.errors import LocalModelError

BUILT_IN = Path(__file__).with_name("catalogue.json")

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENGINES = ("piper", "whisper")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a model.

    Attributes:
        size_bytes: about so many, for the question and for the check of free space.
        sha256: in lower-case hex; None where the maker's is not known.
    """

    name: str
    url: str
    size_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model, and what its operator has to know before it is downloaded.

    Attributes:
        packages: what has to be installed with pip to use it.
    """

    name: str
    engine: str
    about: str
    languages: tuple[str, ...]
    packages: tuple[str, ...]
    licence: str
    licence_url: str
    files: tuple[RemoteFile, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def catalogue_read(extra: Path | None = None) -> dict[str, LocalModel]:
    """The models by name: those that come with the app, and those that `extra` adds or replaces.

    Raises:
        LocalModelError: `extra` cannot be read or is no catalogue; the message says where.
    """
    models = _models_in(BUILT_IN)
    return models if extra is None else models | _models_in(extra)


def _models_in(path: Path) -> dict[str, LocalModel]:
    try:
        models = [_model(entry) for entry in json.loads(path.read_text("utf-8"))["models"]]
    except OSError as error:
        raise LocalModelError(f"{path} cannot be read: {error.strerror}.") from error
    except KeyError as error:
        raise LocalModelError(f"{path} is no catalogue: {error} is missing.") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise LocalModelError(f"{path} is no catalogue: {error}.") from error
    return {model.name: model for model in models}


def _model(entry: Mapping[str, Any]) -> LocalModel:
    if entry["engine"] not in _ENGINES:
        raise ValueError(f"an engine is one of {', '.join(_ENGINES)}")
    return LocalModel(
        name=_plain(entry["name"]),
        engine=entry["engine"],
        about=str(entry["about"]),
        languages=tuple(map(str, entry["languages"])),
        packages=tuple(map(str, entry["packages"])),
        licence=str(entry["licence"]),
        licence_url=str(entry["licence_url"]),
        files=tuple(_file(file) for file in entry["files"]),
    )


def _file(entry: Mapping[str, Any]) -> RemoteFile:
    url, sha256 = str(entry["url"]), entry["sha256"]
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{url} is no web address")
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise ValueError(f"the sha256 of {entry['name']} is not 64 hex digits")
    return RemoteFile(_plain(entry["name"]), url, int(entry["size_bytes"]), sha256)


def _plain(name: str) -> str:
    """A name becomes the name of a file: it may not lead anywhere else."""
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not usable as the name of a file")
    return name
