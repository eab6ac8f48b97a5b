"""Says who holds the event loop: from a thread, for nothing of the loop runs then."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import FrameType

from calls.ports.clock import Clock

logger = logging.getLogger(__name__)

HELD_MS = 1_000
"""So long nobody in any call of the process heard or was heard."""

LOOK_MS = 250
_FRAMES = 6


class StallWatch:
    """Logs once, with the place in the code, when a thread gives no sign of life for a while.

    What is logged are files, lines and names of functions; never a value.

    Args:
        clock: of the signs of life; read from both threads.
        held_ms: how long there may be no sign.
        look_ms: how often the watching thread looks, in real time.
    """

    def __init__(self, clock: Clock, *, held_ms: int = HELD_MS, look_ms: int = LOOK_MS) -> None:
        self._clock = clock
        self._held_ms = held_ms
        self._look_s = look_ms / 1000
        self._alive_ms = clock.now_ms()
        self._told = False
        self._over = threading.Event()

    def alive(self) -> None:
        """A sign of life, from the thread that is watched."""
        self._alive_ms, self._told = self._clock.now_ms(), False

    def look(self, frame: FrameType | None) -> None:
        """See whether the thread that is in `frame` has been silent for too long."""
        silent_ms = self._clock.now_ms() - self._alive_ms
        if silent_ms < self._held_ms or self._told:
            return
        self._told = True
        extra = {"ms": silent_ms, "where": " < ".join(islice(_places(frame), _FRAMES))}
        logger.warning("The event loop is held, and all calls with it", extra=extra)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the thread that enters this, while the block lasts."""
        watched = threading.get_ident()
        self.alive()
        self._over.clear()
        thread = threading.Thread(
            target=self._watch, args=(watched,), name="calls-stalls", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self, thread_id: int) -> None:
        while not self._over.wait(self._look_s):
            self.look(sys._current_frames().get(thread_id))


def _places(frame: FrameType | None) -> Iterator[str]:
    """Where a thread is, the innermost function first."""
    while frame is not None:
        code = frame.f_code
        yield f"{code.co_qualname} ({Path(code.co_filename).name}:{frame.f_lineno})"
        frame = frame.f_back
