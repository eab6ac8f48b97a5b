"""What the repository promises about itself."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from voiceapp.environment import NAMES

ROOT = Path(__file__).resolve().parents[2]
LOOSE = {"pip", "setuptools"}


def pinned_lines(file):
    """Each pin with its hashes, in one line."""
    lines = (ROOT / file).read_text().replace("\\\n", "").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def pins(file):
    """Name to requirement, for what is meant for this Python."""
    named = [Requirement(line.partition(" --hash=")[0]) for line in pinned_lines(file)]
    return {
        canonicalize_name(pin.name): pin
        for pin in named
        if pin.marker is None or pin.marker.evaluate()
    }


@pytest.mark.parametrize(
    "files",
    [("requirements.txt",), ("requirements.txt", "requirements-dev.txt")],
    ids=["what runs", "what checks it"],
)
def test_every_requirement_is_pinned_to_the_last(files):
    pinned = {name: pin for file in files for name, pin in pins(file).items()}
    assert all(str(pin.specifier).startswith("==") for pin in pinned.values())
    needed = {
        canonicalize_name(need.name)
        for name in pinned
        for need in map(Requirement, metadata.requires(name) or ())
        if need.marker is None or need.marker.evaluate({"extra": ""})
    }
    assert needed - set(pinned) - LOOSE == set()


@pytest.mark.parametrize(
    "file", ["requirements.txt", "requirements-dev.txt", "requirements-local.txt"]
)
def test_every_requirement_is_pinned_by_hash(file):
    lines = pinned_lines(file)
    assert lines
    for line in lines:
        pin, *hashes = re.split(r" +--hash=", line)
        assert "==" in pin
        assert hashes, pin
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), pin
        assert hashes == sorted(set(hashes)), pin


def test_every_variable_is_documented():
    page = (ROOT / "docs" / "environment.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z_]+)`", page, re.MULTILINE))
    assert documented >= set(NAMES)


@pytest.mark.parametrize("module", ["calls.domain", "calls.audio", "calls.wire", "calls.engine"])
def test_the_inside_does_not_load_django(module):
    code = f"import {module}, sys; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def tracked_files():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_no_file_names_a_package_host_or_resolves_one():
    lock = (ROOT / "tools" / "js" / "package-lock.json").read_text()
    assert "resolved" not in lock
    for file in tracked_files():
        if file.suffix in (".txt", ".toml", ".json", ".lock", ".yml", ".cfg") and file.exists():
            assert "index-url" not in file.read_text(), file
            assert not re.search(r"registry\.\w", file.read_text()), file
