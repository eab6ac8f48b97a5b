"""The resampler: the same sound at another rate, however the stream is cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.audio.resample import Resampler
from tests.audio.sounds import pcm, silence, tone

RATES_HZ = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
PAIRS = [(a, b) for a in RATES_HZ for b in RATES_HZ if a != b]


def converted(source_hz: int, target_hz: int, sound: bytes) -> bytes:
    resampler = Resampler(source_hz, target_hz)
    return resampler.feed(sound) + resampler.flush()


def level(sound: bytes) -> float:
    samples = np.frombuffer(sound, "<i2").astype(float)
    return float(np.sqrt(np.mean(samples**2)))


@given(
    rates=st.sampled_from([(48_000, 16_000), (16_000, 24_000), (22_050, 16_000), (44_100, 16_000)]),
    cuts=st.lists(st.integers(0, 3_000), max_size=12),
)
def test_cutting_does_not_change_the_sound(rates, cuts):
    sound = pcm(tone(440, 60, rate_hz=rates[0]))
    resampler = Resampler(*rates)
    edges = [0, *sorted(2 * cut for cut in cuts), len(sound)]
    parts = [resampler.feed(sound[a:b]) for a, b in pairwise(edges)]

    assert b"".join(parts) + resampler.flush() == converted(*rates, sound)


@pytest.mark.parametrize(("source_hz", "target_hz"), PAIRS)
def test_a_tone_keeps_its_pitch_its_level_and_its_place(source_hz, target_hz):
    sound = np.frombuffer(
        converted(source_hz, target_hz, pcm(tone(440, 500, rate_hz=source_hz))), "<i2"
    )
    wanted = tone(440, 500, rate_hz=target_hz)
    size = min(len(sound), len(wanted))
    error = (sound[:size] - wanted[:size])[target_hz // 50 : -target_hz // 50]

    assert np.sqrt(np.mean(error**2)) < 10 ** (-60 / 20) * np.sqrt(np.mean(wanted**2))


@given(rates=st.sampled_from(PAIRS), ms=st.integers(4, 300), more_samples=st.integers(0, 200))
def test_the_whole_stream_has_as_many_samples_as_it_should(rates, ms, more_samples):
    source_hz, target_hz = rates
    samples = source_hz * ms // 1000 + more_samples
    found_samples = len(converted(*rates, bytes(2 * samples))) // 2

    assert abs(found_samples - samples * target_hz / source_hz) <= 1


@pytest.mark.parametrize(("source_hz", "target_hz"), PAIRS)
def test_sixteen_samples_of_the_lower_rate_are_held_back(source_hz, target_hz):
    resampler = Resampler(source_hz, target_hz)
    given_samples = heard_samples = 0
    for _ in range(25):
        given_samples += source_hz // 50
        heard_samples += len(resampler.feed(bytes(2 * (source_hz // 50)))) // 2
        held_back_s = given_samples / source_hz - heard_samples / target_hz

        assert held_back_s <= 17 / min(source_hz, target_hz)


def test_what_the_new_rate_cannot_hold_is_gone_and_not_folded_back():
    sound = pcm(tone(11_000, 200, rate_hz=48_000))

    steady = converted(48_000, 16_000, sound)[640:-640]  # its sudden edges are of every pitch

    assert level(steady) < level(sound) / 1000


def test_equal_rates_cost_nothing():
    sound = pcm(tone(440, 20))
    resampler = Resampler(16_000, 16_000)

    assert resampler.feed(sound) is sound
    assert resampler.flush() == b""


def test_nothing_in_nothing_out():
    resampler = Resampler(48_000, 16_000)

    assert resampler.feed(b"") == b""
    assert resampler.flush() == b""


def test_after_a_flush_another_stream_begins():
    sound = pcm(tone(440, 40, rate_hz=48_000))
    resampler = Resampler(48_000, 16_000)
    first = resampler.feed(sound) + resampler.flush()

    assert resampler.feed(sound) + resampler.flush() == first


def test_two_streams_do_not_touch():
    speaking, silent = Resampler(48_000, 16_000), Resampler(48_000, 16_000)
    speaking.feed(pcm(tone(440, 40, rate_hz=48_000)))

    assert not any(silent.feed(pcm(silence(60))))


def test_half_a_sample_is_refused():
    with pytest.raises(ValueError, match="odd"):
        Resampler(48_000, 16_000).feed(b"abc")
    with pytest.raises(ValueError, match="odd"):
        Resampler(16_000, 16_000).feed(b"a")


@pytest.mark.parametrize("rates", [(7_999, 16_000), (16_000, 48_001), (0, 0), (-16_000, 16_000)])
def test_rates_out_of_range_are_refused(rates):
    with pytest.raises(ValueError, match="cannot resample"):
        Resampler(*rates)
