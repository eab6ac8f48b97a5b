"""Pins the requirements by hash: `.venv/bin/python tools/pin_hashes.py [--check]`.

Run it when a version was changed. Behind every pin it writes the SHA-256 of each file of that
release that a Python from 3.11 to 3.13 can install, on whatever system; pip then refuses all
others. The hashes are those that the package index names in its simple API (PEP 691), and the
index is the one that pip is set to. With `--check` nothing is written: it says whose hashes are
missing or differ.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import TypedDict
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-dev.txt", "requirements-local.txt")
MINORS = range(11, 14)
PYPI = "https://pypi.org/simple"

_SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"
_TIMEOUT_S = 60
_SDISTS = (".tar.gz", ".zip")
_PIN = re.compile(
    r"^(?P<pin>(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;\\]+)(?:[ \t]*;[^\\\n]*?)?)"
    r"(?P<hashes>(?:[ \t]*(?:\\\n)?[ \t]*--hash=\S+)*)[ \t]*$",
    re.MULTILINE,
)


class Release(TypedDict):
    """One file of the index's answer, as far as it is read here."""

    filename: str
    hashes: dict[str, str]


class IndexAnswerError(Exception):
    """The index does not say what is needed; the message is one line."""


def index_url() -> str:
    """The index that pip is set to, by its variable or its files; else PyPI."""
    for key in (":env:.index-url", "global.index-url"):
        command = [sys.executable, "-m", "pip", "config", "get", key]
        said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if said.returncode == 0 and said.stdout.strip():
            return said.stdout.strip().rstrip("/")
    return PYPI


@cache
def files_of(index: str, name: str) -> list[Release]:
    """All files of a project, of every release.

    Raises:
        IndexAnswerError: the index does not answer, or not in JSON.
    """
    normal = re.sub(r"[-_.]+", "-", name).lower()
    request = Request(f"{index}/{normal}/", headers={"Accept": _SIMPLE_JSON})  # noqa: S310
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - what pip trusts as well
            if answer.status != HTTPStatus.OK or answer.headers.get_content_type() != _SIMPLE_JSON:
                raise IndexAnswerError(f"{name}: the index does not speak PEP 691")
            files: list[Release] = json.load(answer)["files"]
    except (OSError, HTTPException) as error:
        raise IndexAnswerError(f"{name}: {error}") from error
    return files


def hashes_of(files: list[Release], version: str) -> list[str]:
    """Sorted hashes of what can be installed of a release.

    All wheels for our Pythons; the source only where no wheel fits every system.

    Raises:
        IndexAnswerError: there is nothing to install, or a file without a hash.
    """
    names = {file["filename"]: file["hashes"].get("sha256", "") for file in files}
    wheels = [name for name in names if _is_wheel_of(name, version) and _fits(name)]
    sources = [name for name in names if _is_source_of(name, version)]
    everywhere = any(name.endswith("-none-any.whl") for name in wheels)
    chosen = [names[name] for name in (wheels if everywhere else wheels + sources)]
    if not chosen or not all(chosen):
        raise IndexAnswerError("the index has no file to install, or names no SHA-256 of one")
    return sorted(chosen)


def _is_wheel_of(filename: str, version: str) -> bool:
    return filename.endswith(".whl") and filename.split("-")[1] == version


def _is_source_of(filename: str, version: str) -> bool:
    return any(filename.endswith(f"-{version}{suffix}") for suffix in _SDISTS)


def _fits(wheel: str) -> bool:
    """Whether one of our Pythons can use the wheel, by the tags in its name (PEP 425)."""
    pythons, abis, _ = wheel.removesuffix(".whl").split("-")[-3:]
    stable = "abi3" in abis.split(".")
    return any(_python_fits(python, stable=stable) for python in pythons.split("."))


def _python_fits(python: str, *, stable: bool) -> bool:
    tag = re.fullmatch(r"(py|cp)3(\d*)", python)
    if tag is None:
        return False
    minor = int(tag[2] or 0)
    if tag[1] == "py" or stable:
        return minor <= MINORS[-1]  # of this version or newer
    return minor in MINORS


def pin_hashes(text: str, index: str) -> str:
    """The text of a file of requirements with the hashes that the index names."""

    def pinned(found: re.Match[str]) -> str:
        lines = [f"--hash=sha256:{value}" for value in _named(found, index)]
        return " \\\n    ".join([found["pin"], *lines])

    return _PIN.sub(pinned, text)


def differences(text: str, index: str) -> Iterator[str]:
    """A line for each pin whose hashes are not those that the index names."""
    for found in _PIN.finditer(text):
        written = set(re.findall(r"--hash=sha256:(\S+)", found["hashes"]))
        named = set(_named(found, index))
        if written != named:
            missing, unknown = len(named - written), len(written - named)
            yield f"{found['pin']}: {missing} missing, {unknown} that the index does not name"


def _named(found: re.Match[str], index: str) -> list[str]:
    files = files_of(index, found["name"])
    try:
        return hashes_of(files, found["version"])
    except IndexAnswerError as failure:
        raise IndexAnswerError(f"{found['pin']}: {failure}") from failure


def main() -> None:
    checks = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not checks:
        sys.exit(__doc__)
    paths, index = [ROOT / name for name in FILES], index_url()
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    try:
        if checks:
            found = [
                f"{path.name}: {line}" for path in paths for line in differences(texts[path], index)
            ]
            sys.exit("\n".join(found) or 0)
        pinned = {path: pin_hashes(text, index) for path, text in texts.items()}
    except IndexAnswerError as failure:
        sys.exit(str(failure))
    for path, text in pinned.items():
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
