"""WAV headers: read by others, read from others, mended after a crash."""

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.audio.wav import HEADER_BYTES, LARGEST_DATA_BYTES, WavHeader, header, parse, repair


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(*chunks: bytes) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def format_of(kind: int = 1, channels: int = 1, bits: int = 16, extra: bytes = b"") -> bytes:
    rate_hz = 16_000
    size = channels * bits // 8
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", kind, channels, rate_hz, rate_hz * size, size, bits) + extra
    )


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_the_standard_library_reads_ours(rate_hz, channels):
    frames = b"abcdefgh"
    with wave.open(io.BytesIO(header(rate_hz, channels, len(frames)) + frames)) as wav:
        assert wav.getframerate() == rate_hz
        assert wav.getnchannels() == channels
        assert wav.getsampwidth() == 2
        assert wav.readframes(100) == frames


def test_we_read_the_standard_library():
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((2, 2, 22_050, 0, "NONE", ""))
        wav.writeframes(bytes(400))

    assert parse(file.getvalue()) == WavHeader(22_050, 2, 44, 400)


@given(
    rate_hz=st.integers(1, 192_000),
    channels=st.sampled_from([1, 2]),
    data_bytes=st.none() | st.integers(0, LARGEST_DATA_BYTES),
)
def test_what_was_written_is_read(rate_hz, channels, data_bytes):
    head = header(rate_hz, channels, data_bytes)

    assert len(head) == HEADER_BYTES
    assert parse(head) == WavHeader(rate_hz, channels, HEADER_BYTES, data_bytes)


@pytest.mark.parametrize("data_bytes", [-1, LARGEST_DATA_BYTES + 1])
def test_lengths_that_the_format_cannot_say(data_bytes):
    with pytest.raises(ValueError, match="cannot hold"):
        header(16_000, 1, data_bytes)


OTHERS = [
    ("chunks around", riff(chunk(b"LIST", b"abc"), format_of(), chunk(b"data", b"1234")), 56),
    ("a longer format", riff(format_of(0xFFFE, extra=bytes(24)), chunk(b"data", b"1234")), 68),
]


@pytest.mark.parametrize(("file", "offset"), [pytest.param(*o[1:], id=o[0]) for o in OTHERS])
def test_files_of_others(file, offset):
    assert parse(file) == WavHeader(16_000, 1, offset, 4)
    assert file[offset:] == b"1234"


NOT_OURS = [
    ("nothing", b""),
    ("too short", header(16_000, 1, 0)[:43]),
    ("another RIFF", b"RIFF" + bytes(4) + b"AVI " + bytes(40)),
    ("not RIFF", b"OggS" + bytes(60)),
    ("no samples", riff(format_of(), chunk(b"LIST", bytes(40)))),
    ("samples before the format", riff(chunk(b"data", bytes(40)), format_of())),
    ("a format cut short", riff(chunk(b"LIST", bytes(20)), b"fmt \x10\0\0\0\x01\0")),
    ("floats", riff(format_of(3, bits=32), chunk(b"data", bytes(8)))),
    ("8 bits", riff(format_of(bits=8), chunk(b"data", bytes(8)))),
    ("six channels", riff(format_of(channels=6), chunk(b"data", bytes(12)))),
]


@pytest.mark.parametrize("head", [pytest.param(n[1], id=n[0]) for n in NOT_OURS])
def test_what_is_not_ours_to_read(head):
    with pytest.raises(ValueError, match=r"WAV|PCM"):
        parse(head)


@given(st.binary(max_size=200))
def test_no_bytes_whatever_do_anything_else(noise):
    for head in (noise, header(16_000, 1, None)[:20] + noise):
        try:
            parse(head)
        except ValueError:
            continue


def test_a_header_is_mended_by_the_size_of_its_file():
    unfinished = header(16_000, 2, None)

    assert repair(unfinished, 44 + 4_000) == header(16_000, 2, 4_000)
    assert repair(header(16_000, 2, 0), 44 + 4_000) == header(16_000, 2, 4_000)
    assert repair(unfinished, 44 + 4_003) == header(16_000, 2, 4_000), "half a sample is cut"
    assert repair(unfinished, 10) == header(16_000, 2, 0)
    assert repair(unfinished, 10**10) == header(16_000, 2, LARGEST_DATA_BYTES // 4 * 4)


def test_headers_of_another_size_are_not_mended():
    head = riff(chunk(b"LIST", b"ab"), format_of(), chunk(b"data", b""))

    with pytest.raises(ValueError, match="44 bytes"):
        repair(head, 1_000)
