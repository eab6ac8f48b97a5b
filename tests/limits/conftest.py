"""Places of their own, and sites with limits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from calls.store.gateway import gateway_close


@pytest.fixture(autouse=True)
def own_folders(settings, tmp_path: Path) -> Iterator[Path]:
    """Recordings and journals of one test; its gateway is closed at the end."""
    settings.CALLS = settings.CALLS | {
        "RECORDINGS_DIR": tmp_path / "recordings",
        "JOURNAL_DIR": tmp_path / "journal",
    }
    yield tmp_path
    gateway_close()
