"""How fast a client may talk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.engine.limits import TokenBucket


def test_the_reserve_may_be_spent_at_once_and_no_more():
    bucket = TokenBucket(rate=10, burst=20, now_ms=0)
    assert all(bucket.take(5, 0) for _ in range(4))
    assert not bucket.take(1, 0)


def test_what_is_refused_costs_nothing():
    bucket = TokenBucket(rate=10, burst=20, now_ms=0)
    assert not bucket.take(21, 0)
    assert bucket.take(20, 0)


def test_it_fills_at_its_rate_and_not_beyond_its_reserve():
    bucket = TokenBucket(rate=10, burst=20, now_ms=0)
    bucket.take(20, 0)
    assert not bucket.take(10, 999)
    assert bucket.take(10, 1_000)
    assert not bucket.take(20.5, 100_000)
    assert bucket.take(20, 100_000)


@pytest.mark.parametrize("late_ms", [-5_000, 0])
def test_a_time_that_goes_back_gives_nothing(late_ms):
    bucket = TokenBucket(rate=10, burst=20, now_ms=1_000)
    bucket.take(20, 1_000)
    assert not bucket.take(1, 1_000 + late_ms)
    assert not bucket.take(1, 1_000)


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 30)), max_size=60))
def test_no_pattern_gets_more_than_reserve_and_rate(steps):
    bucket = TokenBucket(rate=50, burst=20, now_ms=0)
    now_ms, taken = 0, 0.0
    for pause_ms, units in steps:
        now_ms += pause_ms
        taken += units if bucket.take(units, now_ms) else 0
        assert taken <= 20 + 50 * now_ms / 1000 + 1e-6
