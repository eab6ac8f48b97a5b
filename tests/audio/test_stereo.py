"""Two tracks as one."""

import pytest

from calls.audio.stereo import interleave, split


def test_samples_take_turns():
    assert interleave(b"AaBb", b"1122") == b"Aa11Bb22"


def test_the_shorter_track_is_silent_to_the_end():
    assert interleave(b"AaBb", b"") == b"Aa\0\0Bb\0\0"
    assert interleave(b"", b"zz") == b"\0\0zz"
    assert interleave(b"", b"") == b""


def test_there_and_back():
    assert split(interleave(b"AaBb", b"1122")) == (b"AaBb", b"1122")
    assert split(b"") == (b"", b"")


def test_half_a_sample_is_refused():
    with pytest.raises(ValueError, match="buffer size"):
        interleave(b"abc", b"")
    with pytest.raises(ValueError, match="reshape"):
        split(b"ab")
