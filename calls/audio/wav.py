"""WAV files of 16-bit PCM: a header that can be written before the length is known."""

import struct
from dataclasses import dataclass

from calls.domain.audio import SAMPLE_BYTES

HEADER_BYTES = 44

LARGEST_DATA_BYTES = 0xFFFF_FFFF - HEADER_BYTES
"""What the format's 32-bit lengths can say: 12 hours of two channels at 24 kHz."""

_UNKNOWN = 0xFFFF_FFFF
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHH")
_PCM = 1
_EXTENSIBLE = 0xFFFE
_FORMAT_BYTES = 16
_SAMPLE_BITS = 16


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What a header says.

    `data_bytes` is None when the writer did not know the length yet.
    """

    rate_hz: int
    channels: int
    data_offset_bytes: int
    data_bytes: int | None


def header(rate_hz: int, channels: int, data_bytes: int | None) -> bytes:
    """The 44 bytes before the samples.

    Args:
        rate_hz: samples a second of each channel.
        channels: 1, or 2 with interleaved samples.
        data_bytes: size of the samples, or None while they are still being written: players
            then read to the end of the file.

    Raises:
        ValueError: more than the format can say.
    """
    if data_bytes is not None and not 0 <= data_bytes <= LARGEST_DATA_BYTES:
        raise ValueError(f"a WAV file cannot hold {data_bytes} bytes")
    frame_bytes = channels * SAMPLE_BYTES
    # fmt: off
    return _HEADER.pack(
        b"RIFF", _UNKNOWN if data_bytes is None else data_bytes + HEADER_BYTES - 8, b"WAVE",
        b"fmt ", _FORMAT_BYTES, _PCM, channels, rate_hz, rate_hz * frame_bytes, frame_bytes,
        _SAMPLE_BITS,
        b"data", _UNKNOWN if data_bytes is None else data_bytes,
    )
    # fmt: on


def parse(head: bytes) -> WavHeader:
    """Read a header, ours or another's.

    Args:
        head: the beginning of the file, up to the first sample at least.

    Raises:
        ValueError: not a WAV file of 16-bit PCM with one or two channels, or cut off before
            its samples.
    """
    if len(head) < HEADER_BYTES or head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise ValueError("not a WAV file")
    rate_hz, channels = 0, 0
    at = 12
    while at + _CHUNK.size <= len(head):
        kind, size_bytes = _CHUNK.unpack_from(head, at)
        at += _CHUNK.size
        if kind == b"fmt ":
            rate_hz, channels = _parse_format(head[at : at + _FORMAT_BYTES])
        if kind == b"data" and channels:
            return WavHeader(rate_hz, channels, at, None if size_bytes == _UNKNOWN else size_bytes)
        at += size_bytes + size_bytes % 2
    raise ValueError("a WAV file without samples")


def repair(head: bytes, file_bytes: int) -> bytes:
    """The header that a file should have had: its lengths as the file's size says.

    Args:
        head: the first 44 bytes, as `header` wrote them.
        file_bytes: size of the whole file. A sample that was cut off at the end is not counted.

    Raises:
        ValueError: `head` is not such a header.
    """
    found = parse(head)
    if found.data_offset_bytes != HEADER_BYTES:
        raise ValueError("not a header of 44 bytes")
    frame_bytes = found.channels * SAMPLE_BYTES
    data_bytes = min(max(0, file_bytes - HEADER_BYTES), LARGEST_DATA_BYTES)
    return header(found.rate_hz, found.channels, data_bytes - data_bytes % frame_bytes)


def _parse_format(chunk: bytes) -> tuple[int, int]:
    if len(chunk) < _FORMAT_BYTES:
        raise ValueError("a WAV file without a format")
    kind, channels, rate_hz, _, _, bits = _FORMAT.unpack(chunk)
    if kind not in (_PCM, _EXTENSIBLE) or channels not in (1, 2) or bits != _SAMPLE_BITS:
        raise ValueError("not 16-bit PCM with one or two channels")
    return rate_hz, channels
