"""The record's tests once more, on PostgreSQL."""

import subprocess
import sys
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import pytest

from tests.needs import POSTGRES_URL, machine_environment

ROOT = Path(__file__).resolve().parents[2]
AGAIN = (
    "tests/store/test_records_orm.py",
    "tests/store/test_gateway.py",
    "tests/store/test_uses.py",
    "tests/store/test_reaper.py",
    "tests/store/test_summaries.py",
    "tests/admin/test_conversation_list.py",
    "tests/admin/test_review_services.py",
    "tests/admin/test_review_page.py::test_an_unknown_call_is_not_found",
    "tests/admin/test_review_page.py::test_nothing_that_somebody_said_runs",
    "tests/admin/test_agents_admin.py::test_who_may_be_called",
    "tests/admin/test_agents_admin.py::test_the_table_holds_the_ranges_as_well",
)


@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_the_same_holds_on_postgresql(tmp_path):
    name = f"voiceapp_{token_hex(4)}"
    url = urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()
    environment = machine_environment(DATABASE_URL=url, VAR_DIR=str(tmp_path), NO_BOOTSTRAP="1")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--create-db", *AGAIN],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
