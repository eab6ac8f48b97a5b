"""G.711 mu-law: the standard's own points, and there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.audio import ulaw

POINTS = [
    # id                                  code  sample
    ("zero", 0xFF, 0),
    ("minus zero is zero too", 0x7F, 0),
    ("the smallest step", 0xFE, 8),
    ("the largest", 0x80, 32_124),
    ("the largest below zero", 0x00, -32_124),
    ("the first of the second segment", 0xEF, 132),
    ("the first of the last segment", 0x8F, 16_764),
]


def sample_of(code: int) -> int:
    return int(np.frombuffer(ulaw.decode(bytes([code])), "<i2")[0])


def code_of(sample: int) -> int:
    return ulaw.encode(np.array([sample], "<i2").tobytes())[0]


@pytest.mark.parametrize(("code", "sample"), [pytest.param(*p[1:], id=p[0]) for p in POINTS])
def test_points(code, sample):
    assert sample_of(code) == sample
    assert sample_of(code_of(sample)) == sample


def test_every_code_comes_back():
    codes = bytes(code for code in range(256) if code != 0x7F)

    assert ulaw.encode(ulaw.decode(codes)) == codes


@pytest.mark.parametrize("sample", [32_767, -32_768])
def test_what_is_louder_than_the_law_is_clipped(sample):
    assert abs(sample_of(code_of(sample))) == 32_124


@given(st.integers(-32_635, 32_635))
def test_the_error_is_half_a_step_at_most(sample):
    half_step = max(4, 2 ** (int(np.log2(abs(sample) + 132)) - 5))

    assert abs(sample_of(code_of(sample)) - sample) <= half_step


def test_a_byte_a_sample():
    assert len(ulaw.encode(bytes(320))) == 160
    assert len(ulaw.decode(bytes(160))) == 320
    with pytest.raises(ValueError, match="multiple"):
        ulaw.encode(b"abc")
