"""The table of threats names tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = re.findall(r"^\| (?!threat|---)(.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)


def test_there_is_a_table():
    assert len(ROWS) >= 28


@pytest.mark.parametrize(("threat", "defence", "proof"), ROWS, ids=[row[0][:40] for row in ROWS])
def test_each_proof_exists(threat, defence, proof):
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", proof)
    assert named, threat
    assert len(named) == proof.count("`") / 2
    for file, test in named:
        text = (ROOT / file).read_text()
        assert f"def {test or 'test_'}" in text, (file, test)
