"""`docs/limits.md` says what is so."""

import re

import pytest

from calls.engine.watchdog import PATIENCE_MS, TICK_MS
from calls.store import admission
from calls.store.pricing import prices_load
from calls.wiring import guard
from tests.servers import ROOT

PAGE = (ROOT / "docs/limits.md").read_text()


def test_every_refusal_stands_there_in_its_words():
    words = [
        value
        for name, value in vars(admission).items()
        if name.isupper() and isinstance(value, str) and value.endswith(".")
    ]
    assert len(words) == 12
    assert [sentence for sentence in words if sentence not in PAGE] == []


def test_times_are_those_of_the_code():
    assert (1000 // TICK_MS, PATIENCE_MS, guard.LOOK_MS) == (20, 500, 2_000)
    for said in ("20 times a second", "half a second later it is cut", "Every 2 s the rows"):
        assert said in PAGE


@pytest.mark.django_db
def test_the_prices_that_it_shows_can_be_loaded(tmp_path):
    (table,) = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "prices.csv"
    file.write_text(table)
    assert prices_load(file) == 2
