"""What the web process and a speech worker say to each other, over two pipes.

A message is a header (length of the payload, kind, job) and a payload. The web process sends `JOB`
and `CANCEL`. The worker says `READY` once; then for each job any number of `CHUNK`s and one `DONE`
or `FAILED`, a cancelled job included. `FAILED` with job 0 means that the worker cannot work at all.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from calls.domain.items import Mark

MOST_BYTES = 8 * 1024 * 1024
"""No payload is longer; one that says so comes from a stream that lost its alignment."""

_HEADER = struct.Struct("!IBI")
_COUNT = struct.Struct("!H")
_MARK = struct.Struct("!II")


class Kind(IntEnum):
    READY = 1
    JOB = 2
    CANCEL = 3
    CHUNK = 4
    DONE = 5
    FAILED = 6


@dataclass(frozen=True, slots=True)
class Message:
    kind: Kind
    job: int = 0
    payload: bytes = b""

    def packed(self) -> bytes:
        return _HEADER.pack(len(self.payload), self.kind, self.job) + self.payload


class Unpacker:
    """Finds messages in a stream, however it is cut."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that `data` completes.

        Raises:
            ValueError: this is not a stream of messages.
        """
        self._rest += data
        while len(self._rest) >= _HEADER.size:
            size, kind, job = _HEADER.unpack_from(self._rest)
            if size > MOST_BYTES:
                raise ValueError("the stream has lost its alignment")
            end = _HEADER.size + size
            if len(self._rest) < end:
                return
            payload = bytes(self._rest[_HEADER.size : end])
            del self._rest[:end]
            yield Message(Kind(kind), job, payload)


def pack_sound(pcm: bytes, marks: Sequence[Mark]) -> bytes:
    """A chunk of sound, and the marks that came with it, as a payload."""
    packed = b"".join(_MARK.pack(mark.end_char, mark.at_ms) for mark in marks)
    return _COUNT.pack(len(marks)) + packed + pcm


def unpack_sound(payload: bytes) -> tuple[bytes, tuple[Mark, ...]]:
    (count,) = _COUNT.unpack_from(payload)
    end = _COUNT.size + count * _MARK.size
    marks = tuple(Mark(*pair) for pair in _MARK.iter_unpack(payload[_COUNT.size : end]))
    return payload[end:], marks


def pack_fields(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def unpack_fields(payload: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(payload)
    return fields
