"""A caller who notices every gap: in what is heard, and in what was said."""

import asyncio
import os
import struct
import time
from bisect import bisect_left, bisect_right
from pathlib import Path

import numpy as np
from typing_extensions import override

from tests.server.callers import AGENT_HZ, FRAME_MS, MICROPHONE_HZ, SAMPLE_BYTES, Caller

_FRAME_SAMPLES = MICROPHONE_HZ * FRAME_MS // 1000
_HEAD_BYTES = 8
_PIECE_BYTES = 5 * SAMPLE_BYTES * _FRAME_SAMPLES
_MOST_CUT = 2


class Processors:
    """How long those who make and hear the sound could have run, and others had the processors.

    Linux says so of each thread, in nanoseconds (`/proc/<pid>/schedstat`, the second figure).

    Args:
        pid: of the server; its engines are its children.
    """

    def __init__(self, pid: int) -> None:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self._files = [Path(f"/proc/{who}/schedstat") for who in (pid, os.getpid(), *children)]
        self._times_s: list[float] = []
        self._waited_ms: list[float] = []

    def look(self) -> None:
        waited_ns = 0
        for file in self._files:
            try:
                waited_ns += int(file.read_text().split()[1])
            except OSError:
                continue
        self._times_s.append(time.monotonic())
        self._waited_ms.append(waited_ns / 1_000_000)

    def waited_ms(self, since_s: float, until_s: float) -> float:
        """All of them together, from the look before to the look after."""
        first = max(0, bisect_right(self._times_s, since_s) - 1)
        last = min(len(self._times_s) - 1, bisect_left(self._times_s, until_s))
        return self._waited_ms[last] - self._waited_ms[first]


class Listener(Caller):
    """Hears at the pace of an ear, and sends faint noise all the time.

    Attributes:
        sent: all of the noise, 16 kHz s16le.
    """

    def __init__(self, url: str, processors: Processors, **options: bool) -> None:
        super().__init__(url, hasty=False, **options)
        self._processors = processors
        self.sent = bytearray()
        self._arrivals: list[tuple[float, int, float]] = []
        self._noise = np.random.default_rng(7)

    @override
    async def _take(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            (response_id,) = struct.unpack_from("<I", frame)
            ms = (len(frame) - _HEAD_BYTES) * 1000 / (AGENT_HZ * SAMPLE_BYTES)
            self._arrivals.append((time.monotonic(), response_id, ms))
        await super()._take(frame)

    async def murmurs(self) -> None:
        """Send noise in real time until cancelled; too faint to be taken for speech."""
        began_s, frames = time.monotonic(), 0
        while True:
            pcm = self._noise.integers(-8, 9, _FRAME_SAMPLES, dtype=np.int16).tobytes()
            await self.frame(pcm)
            self.sent += pcm
            frames += 1
            self._processors.look()
            due_s = began_s + frames * FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def longest_gap_ms(self) -> float:
        """The longest silence in the middle of an answer, to an ear that plays what it gets.

        Time in which the server or the ear waited for a processor is not counted.
        """
        longest_ms = 0.0
        for response_id in {number for _, number, _ in self._arrivals}:
            own = [(at_s, ms) for at_s, number, ms in self._arrivals if number == response_id]
            runs_out_s = own[0][0]
            for at_s, ms in own:
                if at_s > runs_out_s:
                    silent_ms = (at_s - runs_out_s) * 1000
                    waited_ms = self._processors.waited_ms(runs_out_s, at_s)
                    longest_ms = max(longest_ms, silent_ms - waited_ms)
                runs_out_s = max(runs_out_s, at_s) + ms / 1000
        return longest_ms

    def recorded_whole(self, caller_side: bytes) -> bool:
        """Whether all that was sent lies in the recording, in order.

        Where the first frames were late, what comes after them is moved forward to where it was
        spoken, once or twice, and a piece is cut there.
        """
        at, missing = 0, 0
        pieces = range(0, len(self.sent) - _PIECE_BYTES, _PIECE_BYTES)
        for begin in pieces:
            found = caller_side.find(self.sent[begin : begin + _PIECE_BYTES], at)
            missing += found < 0
            at = max(at, found)
        return len(pieces) > 10 and missing <= _MOST_CUT
