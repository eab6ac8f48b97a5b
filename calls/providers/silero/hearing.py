"""One call's side of the Silero detector: its gate, its queue, and the network's memory of it."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from calls.audio.gate import LevelGate, Levels
from calls.audio.level import SILENT_DBFS, band_levels
from calls.domain.audio import SAMPLE_BYTES
from calls.providers.silero.model import CONTEXT_SAMPLES, WINDOW_SAMPLES, blank_state

logger = logging.getLogger(__name__)

WARM_WINDOWS = 2
"""How many of the windows that a closed gate held back the network sees when it opens."""

QUEUED_WINDOWS = 64
"""Two seconds of a call. Beyond that the process is overloaded, and windows go unjudged."""

_WINDOW_BYTES = WINDOW_SAMPLES * SAMPLE_BYTES
_CONTEXT_BYTES = CONTEXT_SAMPLES * SAMPLE_BYTES
_SILENCE = bytes(_WINDOW_BYTES)
_SILENT_LEVELS = (SILENT_DBFS, SILENT_DBFS)


@dataclass(frozen=True, slots=True)
class Block:
    """A window for the network, after the end of the one before it."""

    pcm: bytes
    levels: Levels
    wanted: bool
    """Its probability is; otherwise it only refreshes the network's memory."""


class Attendant(Protocol):
    """What runs the network for all calls."""

    def attend(self, hearing: "Hearing") -> None:
        """There is something in the queue of `hearing`. Returns before anything is told."""
        ...

    def dismiss(self, hearing: "Hearing") -> None:
        """`hearing` is closed."""
        ...


class Hearing:
    """A `Detection`. The attendant takes from it with `next_block`, and answers each block once.

    While the gate is closed the network's memory of the call rests, and goes on from there, by
    way of the last windows it missed, when the gate opens.
    """

    def __init__(self, attendant: Attendant, on_probability: Callable[[float], None]) -> None:
        self._attendant = attendant
        self._on_probability = on_probability
        self._gate = LevelGate()
        self._context = bytes(_CONTEXT_BYTES)
        self._missed: deque[Block] = deque(maxlen=WARM_WINDOWS)
        self._queue: deque[Block | float] = deque()
        self._last_probability = 0.0
        self._closed = False
        self.listening = True
        self.state = blank_state()

    @property
    def waiting(self) -> bool:
        return bool(self._queue)

    def submit(self, window: bytes) -> None:
        """See `Detection`."""
        if len(window) != _WINDOW_BYTES:
            raise ValueError(f"a window is {_WINDOW_BYTES} bytes, not {len(window)}")
        if self._closed:
            return
        levels = _SILENT_LEVELS if window == _SILENCE else band_levels(window)
        self.listening = self._gate.take(levels)
        pcm, self._context = self._context + window, window[-_CONTEXT_BYTES:]
        self._enqueue(pcm, levels)
        self._attendant.attend(self)

    def close(self) -> None:
        """See `Detection`."""
        if not self._closed:
            self._closed = True
            self._queue.clear()
            self._attendant.dismiss(self)

    def next_block(self) -> Block | None:
        """Tell what needs no network; then the first block that does, if there is one."""
        while self._queue:
            first = self._queue.popleft()
            if isinstance(first, Block):
                return first
            self._tell(first)
        return None

    def judged(self, block: Block, probability: float) -> None:
        """The network's answer to `block`."""
        if block.wanted and not self._closed:
            self._gate.judged(block.levels, probability)
            self._tell(probability)

    def unjudged(self, block: Block) -> None:
        """The network failed at `block`: the level alone has to say."""
        if block.wanted and not self._closed:
            self._tell(self._gate.guess(block.levels))

    def _enqueue(self, pcm: bytes, levels: Levels) -> None:
        """Queue the window as what it is: held back by the gate, one too many, or to be judged."""
        if not self.listening:
            self._missed.append(Block(pcm, levels, wanted=False))
            self._queue.append(0.0)
        elif len(self._queue) >= QUEUED_WINDOWS:
            self._queue.append(self._last_probability)
        else:
            self._queue.extend(self._missed)
            self._missed.clear()
            self._queue.append(Block(pcm, levels, wanted=True))

    def _tell(self, probability: float) -> None:
        self._last_probability = probability
        try:
            self._on_probability(probability)
        except Exception:
            logger.exception("a call could not take what was detected, and hears nothing more")
            self.close()
