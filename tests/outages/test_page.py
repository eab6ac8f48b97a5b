"""docs/outages.md: every row is there, and every test that it names."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/outages.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]
FAULTS = (
    "A provider refuses", "A provider is busy", "Retry-After", "A provider does not answer",
    "A provider breaks off", "Redis is killed", "Redis forgets", "Redis hangs",
    "PostgreSQL is restarted", "PostgreSQL is stopped", "PostgreSQL is frozen", "SIGTERM",
    "SIGKILL of a server", "SIGKILL of a worker", "The client is gone: connection",
    "gone without a word", "network is slow", "disk is full", "clock jumps", "event loop",
    "Two windows", "Two hundred sockets", "Thousands", "come and go",
)  # fmt: skip


def test_every_fault_has_its_row():
    assert [fault for fault in FAULTS if not any(fault in row for row in ROWS)] == []


def test_every_row_names_tests_and_all_of_them_are_there():
    for row in ROWS:
        named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", row)
        assert named, row
        for file, test in named:
            code = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^ *(async )?def {test}\(", code, re.MULTILINE), test
