"""What the process counts, for Prometheus: by call, turn and request, never by frame.

Labels come from our own lists, or are bounded here: no ids, no addresses, nothing that was said.
`docs/operating.md` explains the names. Everything here is cheap and safe to call on the event loop.
"""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram

from calls.domain.errors import EndReason
from calls.domain.timings import STAGES, Turn
from calls.domain.usage import ServiceUse

_LATENCIES_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_LENGTHS_S = (1, 5, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600)
_LAGS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

_STAMPS = dict(
    zip(
        STAGES,
        (
            "committed_ms",
            "transcript_ms",
            "first_text_ms",
            "first_audio_ms",
            "first_sent_ms",
            "first_heard_ms",
        ),
        strict=True,
    )
)

MOST_NAMES = 50
OTHER = "other"
"""What stands for names beyond the first `MOST_NAMES` of their kind."""


class Metrics:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._names: dict[str, set[str]] = {}
        self.sound_dropped = {"detector": 0, "voice": 0}
        """Of calls that are over; those that live are asked when they are needed."""
        self._started = self._counter("calls_started", "Calls begun.", "protocol")
        self._ended = self._counter("calls_ended", "Calls ended.", "reason", "protocol")
        self._refused = self._counter("calls_refused", "Clients turned away or cut off.", "code")
        self._length = self._histogram("calls_duration_seconds", "Length of calls.", _LENGTHS_S)
        self._turns = self._counter("calls_turns", "Turns of ended or heard answers.")
        self._cut = self._counter("calls_turns_interrupted", "Turns cut by the caller.")
        self._latency = self._histogram(
            "calls_turn_latency_seconds",
            "From the end of the caller's speech to the first sound heard.",
            _LATENCIES_S,
        )
        self._stage = self._histogram(
            "calls_turn_stage_seconds", "Parts of the latency.", _LATENCIES_S, "stage"
        )
        self._requests = self._counter(
            "calls_provider_requests", "Requests to providers.", "provider", "stage", "outcome"
        )
        self._answered = self._histogram(
            "calls_provider_seconds",
            "From a request to the end of its result.",
            _LATENCIES_S,
            "provider",
            "stage",
        )
        self._first = self._histogram(
            "calls_provider_first_seconds",
            "From a request to the first part of its result.",
            _LATENCIES_S,
            "provider",
            "stage",
        )
        self.lag = self._histogram("event_loop_lag_seconds", "How late the event loop is.", _LAGS_S)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self.registry)

    def _histogram(
        self, name: str, what: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(name, what, labels, buckets=buckets, registry=self.registry)

    def named(self, kind: str, name: str) -> str:
        """The name, or `OTHER` once too many of its kind have been met."""
        known = self._names.setdefault(kind, set())
        if name not in known and len(known) >= MOST_NAMES:
            return OTHER
        known.add(name)
        return name

    def started(self, protocol: str) -> None:
        self._started.labels(self.named("protocol", protocol)).inc()

    def ended(self, reason: EndReason, protocol: str, duration_ms: int) -> None:
        self._ended.labels(reason.value, self.named("protocol", protocol)).inc()
        self._length.observe(duration_ms / 1000)

    def refused(self, code: str) -> None:
        """`code`: an `ErrorCode`."""
        self._refused.labels(code).inc()

    def turn(self, turn: Turn) -> None:
        """A turn is on the record; to be told once of each."""
        self._turns.inc()
        if turn.interrupted:
            self._cut.inc()
        if (latency_ms := turn.timings.latency_ms) is None:
            return
        self._latency.observe(latency_ms / 1000)
        for stage, ms in turn.timings.stages().items():
            if getattr(turn.timings, _STAMPS[stage]) is not None:
                self._stage.labels(stage).observe(ms / 1000)

    def used(self, use: ServiceUse) -> None:
        """A request to a provider is over."""
        provider = self.named("provider", use.provider)
        self._requests.labels(provider, use.stage, use.outcome).inc()
        self._answered.labels(provider, use.stage).observe(use.duration_ms / 1000)
        if use.first_ms is not None:
            self._first.labels(provider, use.stage).observe(use.first_ms / 1000)


@cache
def metrics() -> Metrics:
    """Those of this process."""
    return Metrics()
