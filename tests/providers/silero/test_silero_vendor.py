"""What was taken from elsewhere is what it says it is."""

import hashlib
import json

import pytest

from calls.providers.silero.model import MODEL

VENDOR = MODEL.parent
RECORD = json.loads((VENDOR / "vendor.json").read_text())


@pytest.mark.parametrize("name", RECORD["files"])
def test_files_are_the_ones_on_record(name):
    data = (VENDOR / name).read_bytes()

    assert len(data) == RECORD["files"][name]["size_bytes"]
    assert hashlib.sha256(data).hexdigest() == RECORD["files"][name]["sha256"]


def test_nothing_else_lies_there():
    assert {path.name for path in VENDOR.iterdir()} == {"vendor.json", *RECORD["files"]}


def test_the_licence_is_there():
    licence = (VENDOR / RECORD["license_file"]).read_text()

    assert licence.startswith(f"{RECORD['license']} License")
    assert "Silero Team" in licence
