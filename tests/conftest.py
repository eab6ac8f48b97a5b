"""What every test stands on: the machine's abilities, a place of its own, chance under control."""

import gc
import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.conf import settings
from hypothesis import settings as hypothesis_settings
from xdist.scheduler import LoadScopeScheduling as Scheduler

from tests import needs
from tests.servers import ROOT, Installation, RealServer
from tests.starved import Figures

_PLAIN_STATIC_FILES = "django.contrib.staticfiles.storage.StaticFilesStorage"

hypothesis_settings.register_profile("dev", max_examples=50, deadline=timedelta(seconds=2))
hypothesis_settings.register_profile("ci", max_examples=100, deadline=None)
hypothesis_settings.load_profile("ci" if needs.INSISTS else "dev")


def pytest_configure(config: pytest.Config) -> None:
    """Keep whatever the tests write out of the installation they run in."""
    place = TemporaryDirectory(prefix="voiceapp-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(place.cleanup)
    var_dir = Path(place.name)
    settings.VAR_DIR = var_dir
    settings.STATIC_ROOT = var_dir / "static"
    settings.STATIC_ROOT.mkdir()
    settings.CALLS = settings.CALLS | {
        "RECORDINGS_DIR": var_dir / "recordings",
        "JOURNAL_DIR": var_dir / "journal",
        "DEBUG_DIR": var_dir / "debug",
        # Whoever runs the tests may have keys; no test but those marked `live` may use them.
        "OPENAI_API_KEY": "",
        "ELEVENLABS_API_KEY": "",
    }
    # Hashed names exist only after `collectstatic`; the tests of the server collect for themselves.
    settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": _PLAIN_STATIC_FILES}}
    if _is_worker(config):
        worker = config.workerinput["workerid"], config.workerinput["workercount"]
        os.nice(_GIVES_WAY_BY if _lane(*worker) is _Lane.GIVES_WAY else 0)
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        # A file, because threads that share a database in memory lock each other out.
        database.setdefault("TEST", {})["NAME"] = str(var_dir / "test.sqlite3")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin with what takes long and needs no test to run."""
    config = session.config
    if needs.INSISTS and config.getoption("dist", "no") != "no" and not _is_worker(config):
        command = [*needs.UNHURRIED, sys.executable, "-m", "tests.interop.prepare"]
        making = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        config.add_cleanup(making.wait)
        config.add_cleanup(making.kill)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_report_header() -> list[str]:
    """Say at the top what this machine lacks."""
    lacking = [remedy for name in needs.NEEDS if (remedy := needs.missing(name))]
    return [f"missing: {remedy}" for remedy in lacking]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    """Share the tests out by file: what a file makes for its tests, it makes once."""
    return _ByFile(config, log)


_LARGE_CLIENTS = ("tests/interop/test_pipecat", "tests/interop/test_livekit")
"""Their environments are made while other tests run."""

_IN_REAL_TIME = (
    "browser",
    "tests/interop/",
    "tests/outages/",
    "tests/deployment/",
    "tests/server/",
    "tests/embedding/",
    *_LARGE_CLIENTS,
)
"""Speech that takes as long as it takes. What takes minutes begins first, so that nobody waits for
it alone."""

_AGAINST_THE_CLOCK = (
    "tests/background/",
    "tests/faults/",
    "tests/limits/",
    "tests/engine/",
    "tests/wiring/",
    "tests/delivery/",
    "tests/providers/",
    "tests/webhooks/",
)
"""They are over soon, but would find the clock late in a process that gives way."""

_UNHURRIED = (
    "tests/store/test_on_postgres",
    "tests/bootstrap/",
    "tests/quality/",
    "tests/privacy/",
    "tests/api/",
)
"""They wait for nothing and nobody: the longest of what no clock is beside."""

_GIVES_WAY_BY = 5
"""Niceness: a third of what the others get of a processor that both want."""


class _Lane(Enum):
    """What a process of the tests is there for, in the order in which it takes it."""

    IN_TIME = (*_IN_REAL_TIME, *_AGAINST_THE_CLOCK, *_UNHURRIED)
    GIVES_WAY = _UNHURRIED

    def rank(self, scope: str) -> int:
        """The lower the sooner; of the places that hold it the narrowest counts."""
        of = {len(start): n for n, start in enumerate(self.value) if scope.startswith(start)}
        last = len(self.value) + (self is _Lane.GIVES_WAY and _looks_at_the_clock(scope))
        return of[max(of)] if of else last


def _lane(worker: str, workers: int) -> _Lane:
    """The last of many processes gives way: what nobody waits for is done in it, meanwhile.

    Tests that look at the clock would find it late if they had to share the processors evenly.
    """
    last = worker == f"gw{workers - 1}"
    return _Lane.GIVES_WAY if last and workers > _processors() else _Lane.IN_TIME


def _looks_at_the_clock(scope: str) -> bool:
    return scope.startswith((*_IN_REAL_TIME, *_AGAINST_THE_CLOCK))


class _ByLane(OrderedDict[str, Any]):
    """The files that nobody has taken yet; `lane` is of the one who takes the next."""

    lane = _Lane.IN_TIME

    def popitem(self, last: bool = True) -> tuple[str, Any]:
        """The next file."""
        if not self:
            return super().popitem(last)
        scope = min(self, key=self.lane.rank)  # of equals the first
        return scope, self.pop(scope)


class _ByFile(Scheduler):
    """All files with a browser go to one process: two at once would disturb each other's sound."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        self.workqueue: _ByLane = _ByLane()

    def _assign_work_unit(self, node: Any) -> None:
        self.workqueue.lane = _lane(node.gateway.id, self.numnodes)
        super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        """Give it the next file, or let it leave when there are processes enough for what is left."""
        if self._is_free(node) and not self._is_wanted(node):
            node.shutdown()
            return
        super()._reschedule(node)

    def _is_free(self, node: Any) -> bool:
        return not node.shutting_down and self._pending_of(self.assigned_work[node]) <= 2

    def _is_wanted(self, node: Any) -> bool:
        if not self.workqueue:
            return True
        in_time = [_looks_at_the_clock(scope) for scope in self.workqueue]
        if _lane(node.gateway.id, self.numnodes) is _Lane.GIVES_WAY:
            return not all(in_time)
        return any(in_time) or self._at_work() <= _processors()

    def _at_work(self) -> int:
        return sum(not node.shutting_down for node in self.nodes)

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


def _scope(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return "browser" if _has_browser(file) else file


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@cache
def _has_browser(file: str) -> bool:
    return "mark.browser" in (ROOT / file).read_text()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what costs money, unless it was asked for by name."""
    if "live" in config.option.markexpr:
        return
    live = [item for item in items if item.get_closest_marker("live")]
    if live:
        config.hook.pytest_deselected(items=live)
        items[:] = [item for item in items if item not in live]
    for item in items:
        if _looks_at_the_clock(_scope(item.nodeid)):
            _may_be_repeated(item)


REPEATS = 2


def _may_be_repeated(item: pytest.Item) -> None:
    """Repeat it where it fails while the machine lacks processors; the summary counts that."""
    timeout = item.get_closest_marker("timeout")
    limit_s = timeout.args[0] if timeout else float(item.config.getini("timeout"))
    item.add_marker(pytest.mark.timeout(limit_s * (1 + REPEATS)), append=False)
    item.add_marker(pytest.mark.flaky(reruns=REPEATS, condition=_was_starved))


_begun = Figures.now()


def _was_starved() -> bool:
    return _begun.starved_since()


def pytest_collection_finish() -> None:
    """Thousands of tests are no garbage; to look through them holds up all that is timed."""
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that the machine cannot run; where nothing may be missing, fail it."""
    global _begun
    _begun = Figures.now()
    for name in needs.NEEDS:
        remedy = needs.missing(name) if item.get_closest_marker(name) else None
        if remedy and needs.INSISTS:
            pytest.fail(remedy, pytrace=False)
        if remedy:
            pytest.skip(remedy)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; for tests marked `browser`."""
    return needs.chromium_path() or pytest.fail("mark the test: browser", pytrace=False)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """What `up` makes: tables, static files, the demo agent, an administrator."""
    return Installation.made_in(tmp_path_factory.mktemp("installation"))


@pytest.fixture
def start_server(installation: Installation, tmp_path: Path) -> Iterator[Callable[..., RealServer]]:
    """Start real servers: `start_server(var_dir=..., NAME="value")`.

    Each has a folder of its own unless `var_dir` names that of another one, dead or alive.
    Keywords are environment variables. All are killed at the end, and a traceback in the log of one
    fails the test unless it says `start_server.tolerates_tracebacks = True`.
    """
    starter = _Starter(installation, tmp_path)
    try:
        yield starter
    finally:
        logs = starter.stop()
    if not starter.tolerates_tracebacks:
        for log in logs:
            assert "Traceback" not in log, log


class _Starter:
    def __init__(self, installation: Installation, place: Path) -> None:
        self.tolerates_tracebacks = False
        self._installation = installation
        self._place = place
        self._started: list[RealServer] = []

    def __call__(
        self, var_dir: Path | None = None, on: type[RealServer] = RealServer, **environment: str
    ) -> RealServer:
        place = var_dir or self._place / f"var{len(self._started)}"
        self._started.append(self._installation.start(place, environment, on))
        return self._started[-1]

    def stop(self) -> list[str]:
        for server in self._started:
            server.kill()
        return [server.log() for server in self._started]
