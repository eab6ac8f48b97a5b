"""Tests that cost money run when they are asked for, and never otherwise."""

import subprocess
import sys

import pytest

from tests.needs import machine_environment
from tests.servers import ROOT

pytestmark = pytest.mark.timeout(120)

KEYS = {"OPENAI_API_KEY": "sk-nobody", "ELEVENLABS_API_KEY": "xi-nobody"}
NOWHERE = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "ELEVENLABS_BASE_URL": "http://127.0.0.1:9"}
ONE = "tests/live/test_live_providers.py::test_a_provider_does_what_it_is_there_for[openai]"


def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`manage.py test`, in this Python."""
    kept = {
        name: value
        for name, value in machine_environment(NO_BOOTSTRAP="1").items()
        if not name.startswith("LIVE_")
    }
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "test", "-p", "no:randomly", *words],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("words", [(), ("-m", "not browser"), ("-m", "node")])
def test_without_being_asked_for_they_are_not_even_skipped(words):
    done = run("tests/live", *words, **KEYS)
    last = done.stdout.strip().splitlines()[-1]
    assert "deselected" in last
    for word in ("passed", "skipped", "failed", "error"):
        assert word not in last


def test_asked_for_they_are_collected_with_everything_that_is_live():
    done = run("tests/live", "-m", "live", "--collect-only", "-q", **KEYS)
    assert ONE in done.stdout.splitlines()
    assert "deselected" not in done.stdout


def test_a_missing_key_is_a_failure_that_names_it():
    done = run(ONE, "-m", "live", OPENAI_API_KEY="sk-nobody")
    assert done.returncode == 1
    assert "set ELEVENLABS_API_KEY, or leave out -m live" in done.stdout


def test_the_keys_arrive_and_are_not_shown(tmp_path):
    file = tmp_path / "key"
    file.write_text("xi-nobody\n")
    given = NOWHERE | {"OPENAI_API_KEY": "sk-nobody", "ELEVENLABS_API_KEY_FILE": str(file)}
    done = run(ONE, "-m", "live", "--showlocals", **given)
    assert done.returncode == 1
    assert "The connection to the provider failed." in done.stdout
    assert "or leave out" not in done.stdout
    assert "-nobody" not in done.stdout + done.stderr
