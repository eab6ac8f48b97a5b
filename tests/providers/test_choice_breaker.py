"""When a service is left alone, and when it is asked again."""

import pytest

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.choice.breaker import (
    FAILURES,
    KNOWN_SERVICES,
    Breakers,
    BreakerState,
)
from tests.doubles.clock import FakeClock

pytestmark = pytest.mark.asyncio

PASSING = [
    ProviderFault.BUSY,
    ProviderFault.TIMEOUT,
    ProviderFault.UNAVAILABLE,
    ProviderFault.TRUNCATED,
    ProviderFault.INVALID,
    ProviderFault.CRASHED,
]
FATAL = [
    ProviderFault.AUTH,
    ProviderFault.QUOTA,
    ProviderFault.NOT_FOUND,
    ProviderFault.UNSUPPORTED,
]


def trouble(kind=ProviderFault.UNAVAILABLE, **more):
    return ProviderError(kind, "Not today.", provider="x", stage=Stage.LLM, **more)


class Bench:
    def __init__(self):
        self.clock = FakeClock()
        self.breakers = Breakers(self.clock)

    def state(self):
        return self.breakers.state("a:1")

    def admit(self):
        return self.breakers.admit("a:1")

    def fail(self, kind=ProviderFault.UNAVAILABLE, times=1, **more):
        for _ in range(times):
            self.admit().failed(trouble(kind, **more))

    async def open_for(self):
        """How long nobody may ask, in milliseconds."""
        began_ms = self.clock.now_ms()
        while self.state() is BreakerState.OPEN:
            await self.clock.advance(500)
        return self.clock.now_ms() - began_ms


@pytest.mark.parametrize("kind", PASSING)
async def test_three_failures_in_a_row_open_it(kind):
    bench = Bench()
    bench.fail(kind, FAILURES - 1)
    assert bench.state() is BreakerState.CLOSED
    bench.fail(kind)
    assert bench.state() is BreakerState.OPEN
    assert bench.admit() is None
    assert await bench.open_for() == 10_000


@pytest.mark.parametrize("kind", [ProviderFault.BUSY, ProviderFault.TIMEOUT])
async def test_a_crowd_before_an_engine_of_this_machine_is_no_outage(kind):
    """Else the many who left in the middle of a word would cost others their answers."""
    breakers = Breakers(FakeClock(), own=["espeak-ng"])
    for name, times in (("espeak-ng", 3 * FAILURES), ("another", FAILURES)):
        for _ in range(times):
            breakers.admit(f"tts {name}").failed(trouble(kind))
    assert breakers.state("tts espeak-ng") is BreakerState.CLOSED
    assert breakers.state("tts another") is BreakerState.OPEN


async def test_an_engine_of_this_machine_that_breaks_down_is_left_alone_as_well():
    breakers = Breakers(FakeClock(), own=["espeak-ng"])
    for _ in range(FAILURES):
        breakers.admit("tts espeak-ng de").failed(trouble(ProviderFault.CRASHED))
    assert breakers.admit("tts espeak-ng de") is None


async def test_a_success_between_failures_begins_the_row_anew():
    bench = Bench()
    bench.fail(times=2)
    bench.admit().succeeded()
    bench.fail(times=2)
    assert bench.state() is BreakerState.CLOSED


@pytest.mark.parametrize("kind", FATAL)
async def test_what_only_a_person_can_help_with_opens_it_at_once_and_for_longer(kind):
    bench = Bench()
    bench.fail(kind)
    assert await bench.open_for() == 60_000


async def test_a_refused_request_says_nothing_of_the_service():
    bench = Bench()
    bench.fail(ProviderFault.REFUSED, 20)
    assert bench.state() is BreakerState.CLOSED


async def test_a_cancelled_request_counts_neither_way():
    bench = Bench()
    bench.fail(times=2)
    bench.admit().released()
    assert bench.state() is BreakerState.CLOSED
    bench.fail()
    assert bench.state() is BreakerState.OPEN


@pytest.mark.parametrize(
    ("kind", "row", "waits_ms"),
    [
        (ProviderFault.TIMEOUT, FAILURES, [10_000, 20_000, 40_000, 80_000, 120_000, 120_000]),
        (ProviderFault.QUOTA, 1, [60_000, 120_000, 240_000, 480_000, 600_000, 600_000]),
    ],
)
async def test_each_probe_that_fails_doubles_the_wait(kind, row, waits_ms):
    bench = Bench()
    bench.fail(kind, row)
    waits = []
    for _ in waits_ms:
        waits.append(await bench.open_for())
        bench.fail(kind)
    assert waits == waits_ms


async def test_exactly_one_probe_is_let_through_and_its_success_closes():
    bench = Bench()
    bench.fail(ProviderFault.AUTH)
    await bench.clock.advance(60_000)
    assert bench.state() is BreakerState.HALF_OPEN
    probe = bench.admit()
    assert [bench.admit(), bench.admit()] == [None, None]
    probe.succeeded()
    assert bench.state() is BreakerState.CLOSED
    assert bench.admit() is not None
    bench.fail(ProviderFault.AUTH)
    assert await bench.open_for() == 60_000  # from the beginning again


@pytest.mark.parametrize("end", ["released", "refused"])
async def test_a_probe_that_tells_nothing_gives_its_place_back(end):
    bench = Bench()
    bench.fail(ProviderFault.AUTH)
    await bench.clock.advance(60_000)
    probe = bench.admit()
    if end == "released":
        probe.released()
    else:
        probe.failed(trouble(ProviderFault.REFUSED))
    assert bench.state() is BreakerState.HALF_OPEN
    assert bench.admit() is not None
    assert bench.admit() is None


async def test_requests_from_before_it_opened_count_no_more():
    bench = Bench()
    early, late = bench.admit(), bench.admit()
    bench.fail(times=FAILURES)
    early.succeeded()
    assert bench.state() is BreakerState.OPEN
    late.failed(trouble(ProviderFault.AUTH))
    assert await bench.open_for() == 10_000


async def test_a_permit_counts_once():
    bench = Bench()
    permit = bench.admit()
    for _ in range(FAILURES):
        permit.failed(trouble())
    assert bench.state() is BreakerState.CLOSED


@pytest.mark.parametrize(
    ("kind", "row", "asked_ms", "wait_ms"),
    [
        (ProviderFault.BUSY, FAILURES, 2_000, 10_000),
        (ProviderFault.BUSY, FAILURES, 45_000, 45_000),
        (ProviderFault.BUSY, FAILURES, 86_400_000, 120_000),
        (ProviderFault.QUOTA, 1, 86_400_000, 600_000),
    ],
)
async def test_the_providers_own_wait_is_respected_within_bounds(kind, row, asked_ms, wait_ms):
    bench = Bench()
    bench.fail(kind, row, retry_after_ms=asked_ms)
    assert await bench.open_for() == wait_ms


async def test_services_do_not_concern_each_other():
    bench = Bench()
    bench.fail(ProviderFault.AUTH)
    assert bench.breakers.state("b:1") is BreakerState.CLOSED
    assert bench.breakers.admit("b:1") is not None


async def test_only_so_many_services_are_remembered_and_the_broken_ones_longest():
    bench = Bench()
    bench.fail(ProviderFault.AUTH)
    for number in range(KNOWN_SERVICES * 2):
        bench.breakers.admit(f"b:{number}").succeeded()
    assert bench.state() is BreakerState.OPEN
    assert len(bench.breakers._circuits) == KNOWN_SERVICES
    for number in range(KNOWN_SERVICES * 2):
        bench.breakers.admit(f"c:{number}").failed(trouble(ProviderFault.AUTH))
    assert len(bench.breakers._circuits) == KNOWN_SERVICES
