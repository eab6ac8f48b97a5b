"""The tests that use the database once more, on PostgreSQL.

Everywhere those whose queries are not every database's; where nothing may be missing, all of them.
"""

import subprocess
import sys
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote, urlsplit

import pytest

from tests.needs import INSISTS, POSTGRES_URL, machine_environment

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("admin", "api", "background", "limits", "privacy", "sites", "store", "webhooks")
ALL = (*(f"tests/{place}" for place in PLACES), "tests/delivery/test_visits.py")
SOME = (
    "tests/store/test_records_orm.py",
    "tests/store/test_gateway.py",
    "tests/store/test_uses.py",
    "tests/limits/test_prices.py::TestRows",
    *(
        f"tests/limits/test_admission.py::test_{name}"
        for name in (
            "one_more_than_the_limit_at_once_and_exactly_the_limit_comes_in",
            "calls_in_an_hour_from_an_address",
            "minutes_of_the_day_with_calls_that_go_on",
            "the_record_knows_the_visit_and_the_least_of_all_caps",
        )
    ),
    *(
        f"tests/sites/test_tokens.py::test_{name}"
        for name in (
            "of_many_at_once_one_gets_in",
            "it_is_good_once",
            "used_ones_are_forgotten_in_small_batches",
        )
    ),
    "tests/store/test_reaper.py",
    "tests/store/test_summaries.py",
    "tests/store/test_search.py",
    "tests/privacy/test_redaction.py",
    "tests/privacy/test_retention.py",
    "tests/privacy/test_erasing.py",
    "tests/api/test_api_calls.py",
    "tests/webhooks/test_sending.py::test_a_slow_receiver_holds_up_nobody",
    "tests/webhooks/test_deliveries_noted.py::TestTheCallItself",
    "tests/admin/test_conversation_list.py",
    "tests/admin/test_review_services.py",
    "tests/admin/test_review_page.py::test_an_unknown_call_is_not_found",
    "tests/admin/test_review_page.py::test_nothing_that_somebody_said_runs",
    "tests/admin/test_agents_admin.py::test_who_may_be_called",
    "tests/admin/test_agents_admin.py::test_the_table_holds_the_ranges_as_well",
    "tests/background/test_tasks.py",
    "tests/admin/test_ending_calls.py",
)

PLUGIN = ("-p", "tests.only_database")
OPTIONS = "-c statement_timeout=60000 -c synchronous_commit=off"
"""A busy machine may take its time, and nothing has to survive it."""


@pytest.mark.postgres
@pytest.mark.timeout(900)
def test_the_same_holds_on_postgresql(tmp_path):
    name = f"voiceapp_{token_hex(4)}"
    given = urlsplit(POSTGRES_URL)
    query = f"{given.query}&options={quote(OPTIONS)}".lstrip("&")
    url = given._replace(path=f"/{name}", query=query).geturl()
    environment = machine_environment(DATABASE_URL=url, VAR_DIR=str(tmp_path), NO_BOOTSTRAP="1")
    chosen = ALL if INSISTS else SOME
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--create-db", *PLUGIN, *chosen],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
