"""The pins of the local models are those that the tests ran with."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(file: str) -> set[str]:
    lines = (ROOT / file).read_text().replace("\\\n", "").splitlines()  # hashes and all
    return {line for line in lines if line and not line.startswith(("#", "-"))}


def test_local_models_run_with_the_pins_they_were_tested_with():
    local = pins("requirements-local.txt")
    assert local
    assert local <= pins("requirements-dev.txt")
