"""What is private: folders of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from calls.store.gateway import gateway_close


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path: Path) -> Iterator[Path]:
    settings.CALLS = settings.CALLS | {
        "RECORDINGS_DIR": tmp_path / "recordings",
        "JOURNAL_DIR": tmp_path / "journal",
        "DEBUG_DIR": tmp_path / "debug",
    }
    yield tmp_path
    gateway_close()
