"""Windows out of chunks, and the last moments of a stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.audio.framing import Framer, PreRoll

CHUNKS = st.lists(st.binary(max_size=50), max_size=20)


@given(chunks=CHUNKS, window_bytes=st.integers(1, 40))
def test_windows_are_the_stream_cut_evenly(chunks, window_bytes):
    framer = Framer(window_bytes)
    windows = [window for chunk in chunks for window in framer.feed(chunk)]

    assert {len(window) for window in windows} <= {window_bytes}
    assert framer.rest_bytes == len(b"".join(chunks)) % window_bytes
    assert b"".join(windows) + framer.drain() == b"".join(chunks)
    assert framer.rest_bytes == 0


def test_a_window_comes_as_soon_as_it_is_full():
    framer = Framer(4)

    assert framer.feed(b"abc") == []
    assert framer.feed(b"d") == [b"abcd"]
    assert framer.feed(b"efghijklm") == [b"efgh", b"ijkl"]


def test_a_chunk_that_is_a_window_is_not_copied():
    chunk = bytes(1024)

    assert Framer(1024).feed(chunk)[0] is chunk


def test_after_draining_a_window_begins_anew():
    framer = Framer(4)
    framer.feed(b"ab")

    assert framer.drain() == b"ab"
    assert framer.feed(b"cdef") == [b"cdef"]
    assert framer.drain() == b""


def test_windows_of_no_size_are_refused():
    with pytest.raises(ValueError, match="at least one byte"):
        Framer(0)


@given(chunks=CHUNKS, capacity_bytes=st.integers(0, 60))
def test_the_pre_roll_is_the_end_of_the_stream(chunks, capacity_bytes):
    pre_roll = PreRoll(capacity_bytes)
    for chunk in chunks:
        pre_roll.push(chunk)
    stream = b"".join(chunks)

    assert pre_roll.take() == stream[max(0, len(stream) - capacity_bytes) :]


def test_what_was_taken_is_gone():
    pre_roll = PreRoll(10)
    pre_roll.push(b"before")
    pre_roll.take()
    pre_roll.push(b"after")

    assert pre_roll.take() == b"after"
    assert pre_roll.take() == b""


@given(chunks=CHUNKS, more=CHUNKS, capacities=st.tuples(st.integers(0, 60), st.integers(0, 60)))
def test_a_pre_roll_may_become_longer_or_shorter(chunks, more, capacities):
    first, second = capacities
    pre_roll = PreRoll(first)
    for chunk in chunks:
        pre_roll.push(chunk)
    pre_roll.resize(second)
    kept = b"".join(chunks)
    kept = kept[max(0, len(kept) - min(capacities)) :]
    for chunk in more:
        pre_roll.push(chunk)
    stream = kept + b"".join(more)

    assert pre_roll.take() == stream[max(0, len(stream) - second) :]
