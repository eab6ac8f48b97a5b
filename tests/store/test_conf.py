"""The one setting says what is wrong with it."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from calls.conf import calls_settings
from calls.domain.items import Item


def test_a_project_that_says_nothing_has_the_defaults(settings):
    settings.CALLS = {}
    settings.BASE_DIR = Path("/srv/project")
    conf = calls_settings()
    assert conf.recordings_dir == Path("/srv/project/var/recordings")
    assert (conf.default_agent, conf.max_calls, conf.agents) == ("demo", 100, {})


def test_what_is_said_counts(settings):
    settings.CALLS = {"MAX_CALLS": 3, "JOURNAL_DIR": "/tmp/j", "ALLOWED_ORIGINS": ["https://a.b"]}
    conf = calls_settings()
    assert (conf.max_calls, conf.journal_dir) == (3, Path("/tmp/j"))
    assert conf.allowed_origins == ("https://a.b",)


def test_a_key_is_never_shown(settings):
    settings.CALLS = {"LLM_API_KEY": "sesame"}
    assert "sesame" not in repr(calls_settings())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MAX_CALS", 3),
        ("MAX_CALLS", "3"),
        ("MAX_CALLS", 0),
        ("MAX_CALLS", True),
        ("AGENTS", ["demo"]),
        ("AGENTS", {"demo": object}),
        ("ALLOWED_ORIGINS", "https://a.b"),
        ("ALLOW_MISSING_ORIGIN", 1),
        ("RECORDINGS_DIR", None),
        ("LLM_MODEL", None),
    ],
)
def test_a_mistake_is_named(settings, key, value):
    settings.CALLS = {key: value}
    with pytest.raises(ImproperlyConfigured, match=key):
        calls_settings()


def test_every_field_of_an_export_is_documented():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    assert {entry.name for entry in fields(Item)} <= set(re.findall(r"`(\w+)`", page))
