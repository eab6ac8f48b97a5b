"""Every adapter against its real service: one small request, as `doctor` makes it."""

import json

import pytest

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

HOSTED = (
    *("elevenlabs", "elevenlabs-batch", "elevenlabs-http"),
    *("openai", "openai-live", "openai-responses", "openai-realtime"),
)
ALL = 10


@pytest.mark.parametrize("name", HOSTED)
def test_a_provider_does_what_it_is_there_for(doctor, name):
    done = doctor(name, "--json")
    results = json.loads(done.stdout)
    assert [
        (found["stage"], found["fault"], found["result"]) for found in results if found["fault"]
    ] == []
    assert done.returncode == 0
    for found in results:
        assert found["works"], found
        assert found["first_ms"] is not None, found
        it_is_right(found)


def it_is_right(found: dict) -> None:
    """The sentence was heard, a word was said, a sentence has a sentence's length."""
    if found["stage"] == "stt":
        assert "opening hours" in found["result"].lower()
    elif found["stage"] == "llm":
        assert "yes" in found["result"].lower()
    else:
        seconds = float(found["result"].split()[0])
        assert 0.2 < seconds < 20


def test_doctor_finds_all_of_them_well(doctor):
    done = doctor()
    assert (done.returncode, done.stderr) == (0, "")
    shown = [line for line in done.stdout.splitlines() if line.startswith("  ok  ")]
    assert sum("embedded" not in line for line in shown) == ALL
