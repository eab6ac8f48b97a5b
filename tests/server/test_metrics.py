"""What a server tells Prometheus, and a supervisor."""

import asyncio
import re
import threading

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from calls.store.probe import Probe
from calls.wiring.metrics import MOST_NAMES, Metrics
from tests.server.callers import Caller, kept_server
from tests.server.programs import manage
from tests.server.protocols import PROTOCOLS, Line
from voiceapp.serving import FILES_A_CALL, files_missing

TOKEN = "for-prometheus"


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    place = tmp_path_factory.mktemp("metrics") / "var"
    with kept_server(installation, place, METRICS_TOKEN=TOKEN, MAX_CALLS="2") as started:
        yield started


def fetched(server, token=TOKEN, path="/metrics"):
    headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
    return httpx.get(server.url + path, headers=headers, trust_env=False)


def figures(server):
    """Every sample by name and labels, as Prometheus reads them."""
    text = fetched(server).text
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_only_who_has_the_token_sees_the_figures(server):
    assert fetched(server).status_code == 200
    assert fetched(server).headers["content-type"].startswith("text/plain; version=0.0.4")
    for wrong in (None, "x", f"{TOKEN}x", "ä"):
        assert fetched(server, wrong).status_code == 401
    assert httpx.post(f"{server.url}/metrics", trust_env=False).status_code in (403, 405)


@pytest.mark.asyncio
@pytest.mark.timeout(90)
async def test_a_call_is_counted_by_turn_and_request(server):
    loop = asyncio.get_running_loop()
    before = await loop.run_in_executor(None, figures, server)
    async with Caller(server.ws_url) as caller, Line(server, PROTOCOLS["micdrop"]) as other:
        await other.begin()
        await caller.start()
        await caller.hears_out()
        assert (await loop.run_in_executor(None, figures, server))[("calls_live",)] == 2
        async with Caller(server.ws_url) as third:
            with pytest.raises(AssertionError):
                await third.start()
            assert third.close_code == 4503
        busy = await loop.run_in_executor(None, fetched, server, None, "/readyz")
        assert (busy.status_code, busy.json()["accepting"]) == (503, False)
        await caller.asks("What are your opening hours?")
        await caller.hangs_up()
    after = await loop.run_in_executor(None, settled, server)

    def more(*key):
        return after.get(key, 0) - before.get(key, 0)

    assert more("calls_started_total", "browser") == 1
    assert more("calls_started_total", "micdrop") == 1
    assert more("calls_ended_total", "browser", "caller_hung_up") == 1
    assert more("calls_refused_total", "busy") == 1
    assert more("calls_duration_seconds_count") == 2
    assert more("calls_turns_total") >= 2
    assert more("calls_turn_latency_seconds_count") == 1
    for stage in ("llm", "tts", "playout", "delivery"):
        assert more("calls_turn_stage_seconds_count", stage) == 1, stage
    assert more("event_loop_lag_seconds_count") > 5
    assert after[("calls_places",)] == 2
    for zero in ("calls_database_away", "calls_journal_bytes", "calls_draining"):
        assert after[(zero,)] == 0, zero
    for queue in ("voice", "client", "records", "detector"):
        assert after[("calls_queue_depth", queue)] == 0, "nobody calls"
    for queue in ("voice", "detector"):
        assert after[("calls_sound_dropped_total", queue)] == 0
    assert 0 < after[("event_loop_lag_max_seconds",)] < 5
    assert after[("process_resident_memory_bytes",)] > 10_000_000
    assert after[("process_open_fds",)] > 5


def settled(server):
    for _ in range(100):
        found = figures(server)
        if not found[("calls_live",)]:
            return found
    raise AssertionError("a call goes on")


def test_no_label_holds_an_id_or_a_word_of_anybody(server):
    labels = {
        value
        for family in text_string_to_metric_families(fetched(server).text)
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert not [label for label in labels if re.search(r"[0-9a-f]{16}|127\.0\.0|\s", label)]


def test_there_are_no_figures_without_a_token_in_the_settings(settings, client):
    settings.CALLS = settings.CALLS | {"METRICS_TOKEN": ""}
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_names_are_bounded():
    metrics = Metrics()
    named = {metrics.named("provider", f"p{number}") for number in range(MOST_NAMES + 10)}
    assert len(named) == MOST_NAMES + 1
    assert metrics.named("provider", "p0") == "p0"
    assert metrics.named("protocol", "p99") == "p99", "each kind has its own"


def test_a_database_that_hangs_is_asked_once_and_not_waited_for():
    asked, go = [], threading.Event()
    probe = Probe(lambda: (asked.append(1), go.wait(10)))
    assert [probe.answers(0.01) for _ in range(5)] == [False] * 5
    assert asked == [1]
    go.set()
    assert probe.answers(5)


def test_a_start_with_too_few_files_is_warned_of(tmp_path):
    assert files_missing(1) == ""
    assert f"{FILES_A_CALL * 10**9}" in files_missing(10**9)


def test_how_much_is_taken_is_a_matter_of_the_command(tmp_path):
    refused = manage("serve", "--backlog", "0", var_dir=tmp_path)
    assert refused.returncode != 0
    assert "backlog" in refused.stderr
