"""What docs/install.md says is what the app does."""

import re
from pathlib import Path

from calls.conf import CallsSettings, calls_settings
from tests.embedding.settings_table import settings_table

PAGE = Path(__file__).parents[2] / "docs" / "install.md"


def test_the_table_of_settings_is_that_of_the_code():
    shown = PAGE.read_text().partition("<!-- CALLS -->\n")[2].partition("\n\nA page of ours")[0]
    assert shown.strip() == settings_table()


def test_every_key_of_the_setting_is_explained():
    rows = re.findall(r"^\| `([A-Z_]+)` \| `.+` \| \S.+ \|$", settings_table(), re.MULTILINE)
    assert [row.lower() for row in rows] == sorted(CallsSettings.__dataclass_fields__)


def test_a_project_may_leave_the_setting_out(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    del settings.CALLS
    assert calls_settings().journal_dir == tmp_path / "var" / "journal"
