"""`manage.py doctor` as a newcomer runs it: as a program, against stand-ins on loopback."""

import json
import time
from contextlib import contextmanager

import pytest

from tests.doubles.providers.base import Fault, serving_in_thread
from tests.doubles.providers.elevenlabs_stt import ElevenLabsHearingDouble
from tests.doubles.providers.elevenlabs_tts import ElevenLabsSpeechDouble
from tests.doubles.providers.openai_audio import OpenAIAudioDouble
from tests.doubles.providers.openai_http import OpenAIHttpDouble, problem
from tests.doubles.providers.openai_realtime import OpenAIRealtimeDouble
from tests.server.programs import addresses, manage

pytestmark = pytest.mark.timeout(150)

KEY = "a-key-that-nobody-may-see"
HOSTED = {
    *(("stt", name) for name in ("elevenlabs", "openai-live", "elevenlabs-batch", "openai")),
    *(("llm", name) for name in ("openai", "openai-responses")),
    *(("tts", name) for name in ("elevenlabs", "elevenlabs-http", "openai-realtime")),
    ("voice", "openai-realtime"),
}
OFFLINE = {("stt", "embedded"), ("llm", "embedded"), ("tts", "embedded")}
NOWHERE = "http://127.0.0.1:9"


class Providers:
    """Stand-ins for both, and the variables that lead to them."""

    def __init__(self) -> None:
        self.models, self.audio = OpenAIHttpDouble(KEY), OpenAIAudioDouble(KEY)
        self.realtime = OpenAIRealtimeDouble(KEY)
        self.speech, self.hearing = ElevenLabsSpeechDouble(KEY), ElevenLabsHearingDouble(KEY)
        self.variables: dict[str, str] = {}

    def all(self):
        return (self.models, self.audio, self.realtime, self.speech, self.hearing)


@contextmanager
def providers():
    there = Providers()
    openai, elevenlabs = there.all()[:3], there.all()[3:]
    with serving_in_thread(*openai) as one, serving_in_thread(*elevenlabs) as other:
        there.variables = addresses(one, other, KEY)
        yield there


@pytest.fixture(scope="module")
def there():
    with providers() as found:
        yield found


def doctor(*words, tmp_path, **environment):
    """Run it; whatever it says, no key is in it and no traceback."""
    done = manage("doctor", *words, var_dir=tmp_path, **environment)
    assert KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def by_name(done):
    """The result of each trial, of `--json`."""
    return {(found["stage"], found["provider"]): found for found in json.loads(done.stdout)}


def line(done, name):
    """The line about a provider and the one below it."""
    lines = done.stdout.splitlines()
    at = next(n for n, text in enumerate(lines) if name in text)
    return lines[at], lines[at + 1]


def test_everything_works(there, tmp_path):
    done = doctor("--json", tmp_path=tmp_path, **there.variables)
    assert (done.returncode, done.stderr) == (0, "")
    results = by_name(done)
    assert {name for name, found in results.items() if found["works"]} == HOSTED | OFFLINE
    for name in HOSTED:
        assert isinstance(results[name]["first_ms"], int), name
        assert results[name]["total_ms"] >= results[name]["first_ms"], name
        assert results[name]["model"], name
    for double in there.all():
        assert double.asked, type(double)
        assert double.busy == 0, "nothing is left open"


def test_the_report_is_read_from_top_to_bottom(there, tmp_path):
    done = doctor("openai", "elevenlabs", "openai-realtime", tmp_path=tmp_path, **there.variables)
    assert done.returncode == 0
    headings = ["Speech to text", "Answers", "Text to speech", "Speech to speech"]
    assert [text for text in done.stdout.splitlines() if text in headings] == headings
    shown, _ = line(done, "gpt-6-luna")
    assert shown.startswith("  ok  openai gpt-6-luna")
    assert " ms  said “" in shown
    assert "agents that leave it to us get: elevenlabs, then openai-live" in done.stdout
    assert "not set up" not in done.stdout, "only what was asked for is shown"


def test_a_wrong_key_is_named_as_that_for_each(there, tmp_path):
    wrong = there.variables | {
        "OPENAI_API_KEY": "sk-wrong-and-secret",
        "ELEVENLABS_API_KEY": "xi-wrong-and-secret",
    }
    done = doctor("--json", tmp_path=tmp_path, **wrong)
    assert done.returncode == 1
    assert done.stderr == "CommandError: Of the providers that are set up, 10 cannot be used.\n"
    assert "wrong-and-secret" not in done.stdout
    results = by_name(done)
    assert {name for name, found in results.items() if found["fault"] == "auth"} == HOSTED
    assert {results[name]["advice"] for name in HOSTED} == {
        "Check the key: it is unknown there, or may not do this."
    }
    assert "Incorrect API key" not in done.stdout, "their words stay with them"


def test_nobody_answers_at_the_address(tmp_path):
    done = doctor(tmp_path=tmp_path, **addresses(NOWHERE, NOWHERE, KEY))
    assert done.returncode == 1
    for name in ("gpt-6-luna", "scribe_v2_realtime", "eleven_flash_v2_5", "gpt-realtime-2.1 "):
        shown, advice = line(done, name)
        assert shown.startswith("  no "), shown
        assert "unavailable: " in shown
        assert "Check the address, the network and the provider's status page." in advice


@pytest.mark.parametrize(
    ("fault", "kind", "advice"),
    [
        (problem(429, "insufficient_quota", "insufficient_quota"), "quota", "top it up"),
        (problem(404, "model_not_found", "invalid_request_error"), "not_found", "/v1"),
        (problem(500), "unavailable", "status page"),
        (Fault(after=2, clean_eof=True), "truncated", "half-way"),
    ],
    ids=["no credit", "no such model", "down", "lost"],
)
def test_what_is_wrong_with_one_is_said_with_what_helps(there, tmp_path, fault, kind, advice):
    there.models.fail("/chat/completions", *[fault] * 4)
    try:
        done = doctor("openai", "--json", tmp_path=tmp_path, **there.variables)
    finally:
        there.models._faults.clear()
    assert done.returncode == 1
    results = by_name(done)
    assert {name: found["fault"] for name, found in results.items() if found["fault"]} == {
        ("llm", "openai"): kind
    }
    assert advice in results["llm", "openai"]["advice"]
    assert "Something about your request" not in done.stdout, "their words stay with them"


def test_a_server_that_says_nothing_is_not_waited_for_long(tmp_path):
    with providers() as there:
        there.models.fail("/chat/completions", *[Fault(stall_headers=True)] * 4)
        began_s = time.monotonic()
        done = doctor("openai", "--json", tmp_path=tmp_path, **there.variables)
    assert time.monotonic() - began_s < 90  # some 12, when nothing else is going on
    found = by_name(done)["llm", "openai"]
    assert (done.returncode, found["fault"]) == (1, "timeout")
    assert "Check the network" in found["advice"]


def test_a_slow_answer_is_only_slow(there, tmp_path):
    there.models.piece_delay_s = 0.2
    try:
        done = doctor("openai", "--json", tmp_path=tmp_path, **there.variables)
    finally:
        there.models.piece_delay_s = 0
    found = by_name(done)["llm", "openai"]
    assert (done.returncode, found["works"]) == (0, True)
    assert found["first_ms"] >= 200
    assert found["total_ms"] > found["first_ms"] + 400


def test_a_name_that_nobody_knows(tmp_path):
    done = doctor("opnai", tmp_path=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: No provider is called opnai. Known: ")
    assert "openai, " in done.stderr
    assert done.stdout == ""


def test_without_a_key_calls_are_offline_and_it_says_so(tmp_path):
    done = doctor(tmp_path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    shown = [text for text in done.stdout.splitlines() if text[:6] in ("  ok  ", "  no  ")]
    assert len(shown) == 3
    assert all("embedded" in text for text in shown)
    for name in ("OPENAI_API_KEY", "ELEVENLABS_API_KEY", "LLM_BASE_URL"):
        assert f"not set up: {name}" in done.stdout
    assert "calls are offline" in done.stdout
