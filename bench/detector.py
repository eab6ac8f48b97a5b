"""What hearing speech costs: CPU microseconds per call per 20 ms, above bare timers.

Calls send 20 ms frames in real time, evenly staggered, on one event loop; the processor time is
the whole process's by the kernel's account, less what the same timers cost without a detector.
"lag" is how late the loop ran those timers, 99th percentile, and "answer" the time from the last
frame of a window to its probability, median; both of the way that is shipped.

    python -m bench.detector                    1, 8, 32 and 100 calls, three rounds
    python -m bench.detector --calls 100 --rounds 5
"""

import argparse
import asyncio
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from calls.audio.framing import Framer
from calls.audio.gate import Levels
from calls.domain.audio import CALLER, SAMPLE_BYTES
from calls.ports.detection import Detection
from calls.providers.silero import detector, hearing
from calls.providers.silero.detector import SileroDetector
from calls.providers.silero.model import SileroNetwork
from tests.audio.sounds import Sound, pcm, silence, utterance, utterance_names, white

FRAME_MS = 20
WARM_UP_S = 2.5
"""Until the gates know the room."""


class OpenGate:
    """No gate: everything reaches the network."""

    def take(self, _levels: Levels) -> bool:
        return True

    def judged(self, _levels: Levels, _probability: float) -> None:
        pass

    def guess(self, _levels: Levels) -> float:
        return 0.0


@dataclass
class Way:
    """A way to run the detector."""

    name: str
    gate: type
    batch_windows: int
    eager_calls: int

    def make(self, network: SileroNetwork) -> SileroDetector:
        hearing.LevelGate = self.gate
        detector.BATCH_WINDOWS = self.batch_windows
        detector.EAGER_CALLS = self.eager_calls
        return SileroDetector(network)


AS_SHIPPED = Way("gate, batched", hearing.LevelGate, detector.BATCH_WINDOWS, detector.EAGER_CALLS)
WAYS = (
    Way("no gate, single", OpenGate, 1, 1_000_000),
    Way("no gate, batched", OpenGate, detector.BATCH_WINDOWS, detector.EAGER_CALLS),
    AS_SHIPPED,
)


@dataclass
class Run:
    """One call load for a few seconds."""

    calls: int
    frames: list[bytes]
    ends_at: float = 0.0
    lags_s: list[float] = field(default_factory=list)
    answers_s: list[float] = field(default_factory=list)

    async def measure(self, shared: SileroDetector | None, seconds: float) -> float:
        """CPU microseconds per call and 20 ms."""
        loop = asyncio.get_running_loop()
        self.ends_at = loop.time() + WARM_UP_S + seconds
        callers = [_Caller(self, shared, number) for number in range(self.calls)]
        await asyncio.sleep(WARM_UP_S)
        self.lags_s.clear()
        self.answers_s.clear()
        cpu_s, wall_s = time.process_time(), loop.time()
        await asyncio.sleep(seconds - 0.1)
        cpu_s, wall_s = time.process_time() - cpu_s, loop.time() - wall_s
        await asyncio.sleep(0.2)
        for caller in callers:
            caller.close()
        return cpu_s / wall_s / self.calls * FRAME_MS * 1_000


class _Caller:
    def __init__(self, run: Run, shared: SileroDetector | None, number: int) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + number * FRAME_MS / 1_000 / run.calls
        self._frame = number * 37
        self._framer = Framer(SileroDetector.window_samples * SAMPLE_BYTES)
        self._asked: deque[float] = deque()
        self._detection: Detection | None = shared.open(self._heard) if shared else None
        self._loop.call_at(self._due, self._send)

    def _send(self) -> None:
        now = self._loop.time()
        self._run.lags_s.append(now - self._due)
        self._frame += 1
        frame = self._run.frames[self._frame % len(self._run.frames)]
        if self._detection:
            for window in self._framer.feed(frame):
                self._asked.append(now)
                self._detection.submit(window)
        self._due += FRAME_MS / 1_000
        if now < self._run.ends_at:
            self._loop.call_at(self._due, self._send)

    def _heard(self, _probability: float) -> None:
        self._run.answers_s.append(self._loop.time() - self._asked.popleft())

    def close(self) -> None:
        if self._detection:
            self._detection.close()


def frames_of(sound: Sound) -> list[bytes]:
    return Framer(CALLER.bytes(FRAME_MS)).feed(pcm(sound))


def _talk(pause_ms: int) -> Sound:
    """Utterances in a quiet room, each followed by a pause."""
    pause = silence(pause_ms)
    turns = [np.concatenate([utterance(name), pause]) for name in utterance_names()]
    talk = np.concatenate(turns)
    return talk + white(len(talk) * 1_000 // CALLER.rate_hz + 1, -66)[: len(talk)]


SOUNDS: dict[str, Callable[[], Sound]] = {
    "speech without a pause": lambda: _talk(0),
    "a caller's share (40 % speech)": lambda: _talk(2_000),
    "a quiet room": lambda: white(5_000, -66),
    "digital silence": lambda: silence(5_000),
}


def measured(network: SileroNetwork, run: Run, seconds: float, rounds: int) -> dict[str, float]:
    """Median microseconds of each way over alternating rounds, above the bare timers."""
    found: dict[str, list[float]] = {way.name: [] for way in WAYS}
    for _ in range(rounds):
        bare_us = asyncio.run(run.measure(None, seconds))
        for way in WAYS:
            us = asyncio.run(run.measure(way.make(network), seconds))
            found[way.name].append(us - bare_us)
    return {name: statistics.median(us) for name, us in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", default="1,8,32,100")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    network = SileroNetwork()
    print("| sound | calls | " + " | ".join(way.name for way in WAYS) + " | lag p99 | answer |")
    print("|---|--:|" + "--:|" * (len(WAYS) + 2))
    for name, make in SOUNDS.items():
        frames = frames_of(make())
        for calls in map(int, asked.calls.split(",")):
            run = Run(calls, frames)
            costs = measured(network, run, asked.seconds, asked.rounds)
            lag_ms = statistics.quantiles(run.lags_s, n=100)[98] * 1_000
            answer_ms = statistics.median(run.answers_s) * 1_000
            row = " | ".join(f"{us:.1f} us" for us in costs.values())
            print(
                f"| {name} | {calls} | {row} | {lag_ms:.1f} ms | {answer_ms:.1f} ms |", flush=True
            )


if __name__ == "__main__":
    main()
