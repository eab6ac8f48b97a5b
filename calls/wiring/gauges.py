"""What is looked up when the metrics are asked for, and how late the event loop is."""

import asyncio
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from django.db import connection
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from calls.conf import calls_settings
from calls.engine.registry import LiveCall
from calls.store.gateway import gateway_state
from calls.store.probe import Probe
from calls.store.work import work_counts
from calls.wiring.metrics import metrics
from calls.wiring.shared import CLOCK, registry
from calls.wiring.stalls import StallWatch

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LOOK_S = 0.1
"""How often the event loop is asked how late it is."""

REMEMBERED_MS = 60_000
"""The greatest lag is that of the last minute, at least, and of two at most."""

COUNTED_WITHIN_S = 1.0
"""What the database is given to count the work that waits; then the counts are left out."""

WorkCounts = dict[str, tuple[int, int, int]]


class Lag:
    """How late the loop was at most, of late."""

    def __init__(self) -> None:
        self._before_s = self._now_s = 0.0
        self._since_ms = CLOCK.now_ms()

    def note(self, lag_s: float) -> None:
        metrics().lag.observe(lag_s)
        self._turn_over()
        self._now_s = max(self._now_s, lag_s)

    @property
    def greatest_s(self) -> float:
        self._turn_over()
        return max(self._before_s, self._now_s)

    def _turn_over(self) -> None:
        if CLOCK.now_ms() - self._since_ms >= REMEMBERED_MS:
            self._before_s, self._now_s, self._since_ms = self._now_s, 0.0, CLOCK.now_ms()


@cache
def lag() -> Lag:
    return Lag()


async def watch_lag() -> None:
    """Ask the event loop how late it is, until cancelled; say in the log who holds it."""
    loop, stalls = asyncio.get_running_loop(), StallWatch(CLOCK)
    with stalls.watching():
        while True:
            due_s = loop.time() + LOOK_S
            await asyncio.sleep(LOOK_S)
            lag().note(max(0.0, loop.time() - due_s))
            stalls.alive()


def exposition() -> bytes:
    """All metrics in Prometheus's text format, from any thread but the event loop's.

    The database is not waited for: without it the counts of background work are left out.
    """
    gauges = _Gauges(tuple(registry()), _work())
    process = ProcessCollector(registry=None)
    return b"".join(map(_text, (metrics().registry, gauges, process)))


def _text(collector: Any) -> bytes:
    return generate_latest(collector)


class _Counts:
    """Counts background work in a thread of its own; what came last is told."""

    def __init__(self) -> None:
        self.found: WorkCounts = {}
        self._probe = Probe(self._count)

    def now(self) -> WorkCounts:
        return self.found if self._probe.answers(COUNTED_WITHIN_S) else {}

    def _count(self) -> None:
        try:
            self.found = work_counts()
        finally:
            connection.close()


@cache
def _counts() -> _Counts:
    return _Counts()


def _work() -> WorkCounts:
    return _counts().now()


class _Gauges(Collector):
    def __init__(self, calls: tuple[LiveCall, ...], work: WorkCounts) -> None:
        self._calls = calls
        self._work = work

    @override
    def collect(self) -> Iterator[Metric]:
        yield _gauge("calls_live", "Calls that go on.", len(self._calls))
        yield _gauge("calls_places", "How many may go on at once.", calls_settings().max_calls)
        yield _gauge("calls_draining", "1: the server is about to end.", registry().draining)
        yield from self._queues()
        yield self._dropped()
        yield from _records()
        yield _gauge("event_loop_lag_max_seconds", "Greatest lag of late.", lag().greatest_s)
        yield from self._background()

    def _queues(self) -> Iterator[Metric]:
        depths: dict[str, list[int]] = {"voice": [], "client": [], "records": [], "detector": []}
        for call in self._calls:
            for lane, depth in call.runner.waiting.items():
                depths[lane].append(depth)
            depths["detector"].append(call.intake.waiting)
        total = {lane: sum(found) for lane, found in depths.items()}
        most = {lane: max(found, default=0) for lane, found in depths.items()}
        yield _by("calls_queue_depth", "What waits, of all calls.", "queue", total)
        yield _by("calls_queue_depth_max", "What waits, of the call with most.", "queue", most)

    def _dropped(self) -> Metric:
        now = {
            "detector": sum(call.intake.dropped for call in self._calls),
            "voice": sum(call.runner.dropped_audio for call in self._calls),
        }
        family = CounterMetricFamily(
            "calls_sound_dropped", "Pieces of callers' sound dropped.", labels=["queue"]
        )
        for queue, before in metrics().sound_dropped.items():
            family.add_metric([queue], before + now[queue])
        return family

    def _background(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("calls_work", "Background work.", labels=["kind", "state"])
        for kind, counts in self._work.items():
            for state, count in zip(("pending", "running", "failed"), counts, strict=True):
                family.add_metric([kind, state], count)
        yield family


def _records() -> Iterable[Metric]:
    state = gateway_state()
    return (
        _gauge("calls_database_away", "1: records go to the journal.", state.away),
        _gauge("calls_records_waiting", "Records not yet safe.", state.waiting),
        _gauge("calls_journal_bytes", "Records waiting in the journal.", state.journal_bytes),
    )


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=float(value))


def _by(name: str, what: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
