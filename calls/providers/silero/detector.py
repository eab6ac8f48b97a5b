"""Speech detection by the Silero network, shared by all calls of a process.

A gate spares the network whatever does not rise above the room. What passes it is collected
over all calls for a few milliseconds and judged in one batch, which halves its cost; with few
calls nothing waits. All of it runs on the event loop: batches are bounded, so that they hold it
for about a millisecond, and a thread would only add the price of handing them over.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from calls.ports.detection import Detection
from calls.providers.silero.hearing import Block, Hearing
from calls.providers.silero.model import WINDOW_SAMPLES, Network, SileroNetwork

logger = logging.getLogger(__name__)

COLLECT_MS = 10

EAGER_CALLS = 4
"""With so few calls past their gates a batch gains little, and nothing waits for one."""

BATCH_WINDOWS = 16
"""Larger batches gain next to nothing, and hold the event loop for longer."""


class SileroDetector:
    """A `SpeechDetector`. It serves one event loop at a time.

    Args:
        network: what judges the windows; the vendored model when None.
        collect_ms: how long windows wait for those of other calls, once there are several.
    """

    window_samples = WINDOW_SAMPLES

    def __init__(self, network: Network | None = None, *, collect_ms: int = COLLECT_MS) -> None:
        self._network = network or SileroNetwork()
        self._collect_ms = collect_ms
        self._hearings: set[Hearing] = set()
        self._listening: set[Hearing] = set()
        self._waiting: OrderedDict[Hearing, None] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due: asyncio.Handle | None = None
        self._due_at_once = False
        self._complained = False
        self.degraded = False

    def open(self, on_probability: Callable[[float], None]) -> Detection:
        """See `SpeechDetector`."""
        hearing = Hearing(self, on_probability)
        self._hearings.add(hearing)
        return hearing

    def attend(self, hearing: Hearing) -> None:
        """See `hearing.Attendant`."""
        self._waiting[hearing] = None
        if hearing.listening:
            self._listening.add(hearing)
        else:
            self._listening.discard(hearing)
        few_listen = hearing.listening and len(self._listening) <= EAGER_CALLS
        self._schedule(at_once=few_listen or len(self._hearings) <= EAGER_CALLS)

    def dismiss(self, hearing: Hearing) -> None:
        """See `hearing.Attendant`."""
        self._hearings.discard(hearing)
        self._listening.discard(hearing)

    def _schedule(self, *, at_once: bool) -> None:
        """Work in the loop's next pass, or when windows had time to gather, if not sooner."""
        loop = asyncio.get_running_loop()
        due = self._due if self._loop is loop else None
        if due and (self._due_at_once or not at_once):
            return
        if due:
            due.cancel()
        self._loop, self._due_at_once = loop, at_once
        if at_once:
            self._due = loop.call_soon(self._work)
        else:
            self._due = loop.call_later(self._collect_ms / 1000, self._work)

    def _work(self) -> None:
        """Judge one batch. What is left waits for the loop's next pass, behind all else due."""
        self._due = None
        batch = self._next_batch()
        if batch:
            self._judge(batch)
        self._waiting.update((hearing, None) for hearing, _ in batch if hearing.waiting)
        if self._waiting:
            self._schedule(at_once=True)

    def _next_batch(self) -> list[tuple[Hearing, Block]]:
        """At most one block of each call, for its memory must be up to date before the next."""
        batch: list[tuple[Hearing, Block]] = []
        while self._waiting and len(batch) < BATCH_WINDOWS:
            hearing, _ = self._waiting.popitem(last=False)
            if block := hearing.next_block():
                batch.append((hearing, block))
        return batch

    def _judge(self, batch: list[tuple[Hearing, Block]]) -> None:
        try:
            probabilities, states = self._network.judge(
                [block.pcm for _, block in batch], [hearing.state for hearing, _ in batch]
            )
        except Exception:
            if not self._complained:
                logger.exception("the speech model failed; the level of the sound decides instead")
            self._fall_back(batch)
            return
        self.degraded = False
        for (hearing, block), probability, state in zip(batch, probabilities, states, strict=True):
            hearing.state = state.copy()  # or each would keep the memory of the whole batch
            hearing.judged(block, probability)

    def _fall_back(self, batch: list[tuple[Hearing, Block]]) -> None:
        self.degraded = self._complained = True
        for hearing, block in batch:
            hearing.unjudged(block)
