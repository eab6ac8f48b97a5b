"""Calls that listen, and networks that say what a test wants."""

import asyncio
from collections.abc import Callable

import numpy as np

from calls.audio.framing import Framer
from calls.audio.vad import SpeechBegan, SpeechEnded, SpeechTracker
from calls.providers.silero.detector import SileroDetector
from calls.providers.silero.model import WINDOW_SAMPLES
from tests.audio.sounds import Sound, pcm

WINDOW_BYTES = 2 * WINDOW_SAMPLES
PASSES_AT_MOST = 100_000


class Listener:
    """A call with its ear on the detector."""

    def __init__(self, detector: SileroDetector) -> None:
        self.heard: list[float] = []
        self.submitted = 0
        self.detection = detector.open(self.heard.append)

    def say(self, *windows: bytes) -> None:
        for window in windows:
            self.detection.submit(window)
            self.submitted += 1

    async def hear(self) -> None:
        """Wait until everything submitted is answered."""
        for _ in range(PASSES_AT_MOST):
            if len(self.heard) >= self.submitted:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"{len(self.heard)} of {self.submitted} windows answered")


class ScriptedNetwork:
    """Says what `judge_one` says of each block; remembers the size of each batch."""

    def __init__(self, judge_one: Callable[[bytes], float] = lambda _: 0.9) -> None:
        self.judge_one = judge_one
        self.batches: list[int] = []
        self.broken = False

    def judge(self, blocks, states):
        """Each state counts the blocks of its call."""
        self.batches.append(len(blocks))
        if self.broken:
            raise RuntimeError("out of order")
        return [self.judge_one(block) for block in blocks], np.stack(states) + 1


class CountingNetwork:
    """Another network, counted."""

    def __init__(self, network) -> None:
        self.network = network
        self.blocks = 0

    def judge(self, blocks, states):
        self.blocks += len(blocks)
        return self.network.judge(blocks, states)


def windows_of(sound: Sound) -> list[bytes]:
    return Framer(WINDOW_BYTES).feed(pcm(sound))


async def edges_in(detector: SileroDetector, sound: Sound) -> list[SpeechBegan | SpeechEnded]:
    """What a call hears begin and end in `sound`, window by window as it would come."""
    listener = Listener(detector)
    for window in windows_of(sound):
        listener.say(window)
        await listener.hear()
    listener.detection.close()
    tracker = SpeechTracker(WINDOW_SAMPLES)
    found = (tracker.take(probability) for probability in listener.heard)
    return [edge for edge in found if edge is not None]
