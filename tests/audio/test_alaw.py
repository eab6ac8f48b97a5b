"""G.711 A-law: the standard's own points, its test tone, and there and back."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.audio import alaw

POINTS = [
    # id                                     code  sample; the standard's values of 13 bits, times 8
    ("the smallest", 0xD5, 8),
    ("the smallest below zero", 0x55, -8),
    ("the second", 0xD4, 24),
    ("the last of the first segment", 0xDA, 248),
    ("the first of the second", 0xC5, 264),
    ("the first of the third", 0xF5, 528),
    ("the first of the last", 0xA5, 16_896),
    ("the largest", 0xAA, 32_256),
    ("the largest below zero", 0x2A, -32_256),
]

MILLIWATT = bytes([0x34, 0x21, 0x21, 0x34, 0xB4, 0xA1, 0xA1, 0xB4])
"""A sine of 1 kHz at 0 dBm0, as G.711 prescribes it."""

OVERLOAD_DBM0 = 3.14


def sample_of(code: int) -> int:
    return int(np.frombuffer(alaw.decode(bytes([code])), "<i2")[0])


def code_of(sample: int) -> int:
    return alaw.encode(np.array([sample], "<i2").tobytes())[0]


@pytest.mark.parametrize(("code", "sample"), [pytest.param(*p[1:], id=p[0]) for p in POINTS])
def test_points(code, sample):
    assert sample_of(code) == sample
    assert code_of(sample) == code


@pytest.mark.parametrize(
    ("sample", "code"), [(0, 0xD5), (15, 0xD5), (16, 0xD4), (-1, 0x55), (-16, 0x55), (-17, 0x54)]
)
def test_intervals_around_zero(sample, code):
    assert code_of(sample) == code


def test_the_standards_tone_is_a_sine_of_its_level():
    peak = 32_768 * 10 ** (-OVERLOAD_DBM0 / 20)
    steps = [math.radians(180 + 22.5 + 45 * n) for n in range(8)]
    sine = np.array([round(peak * math.sin(angle)) for angle in steps], "<i2")

    assert alaw.encode(sine.tobytes()) == MILLIWATT
    decoded = np.frombuffer(alaw.decode(MILLIWATT), "<i2").astype(int)
    assert np.abs(decoded - sine).max() <= 512


def test_every_code_comes_back():
    codes = bytes(range(256))

    assert alaw.encode(alaw.decode(codes)) == codes


@pytest.mark.parametrize("sample", [32_767, -32_768])
def test_the_loudest_is_the_largest(sample):
    assert abs(sample_of(code_of(sample))) == 32_256


@given(st.integers(-32_768, 32_767))
def test_the_error_is_half_a_step_at_most(sample):
    half_step = max(8, 2 ** (int(np.log2(max(abs(sample), 1))) - 5))

    assert abs(sample_of(code_of(sample)) - sample) <= half_step


def test_a_byte_a_sample():
    assert len(alaw.encode(bytes(320))) == 160
    assert len(alaw.decode(bytes(160))) == 320
    with pytest.raises(ValueError, match="multiple"):
        alaw.encode(b"abc")
