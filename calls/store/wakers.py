"""Work may be due: nobody has to wait for the next look."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_waiting: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
_elsewhere: list[Callable[[str], None]] = []


def wake(kind: str) -> None:
    """Work of this kind may be due. From any thread; never waits, never raises.

    Kinds: "summaries", "webhooks", "redactions", "erasures", "purge", "reaper".
    """
    wake_here(kind)
    for tell in _elsewhere:
        tell(kind)


def wake_here(kind: str) -> None:
    """The same, of this process only."""
    for loop, event in tuple(_waiting.get(kind, ())):
        with suppress(RuntimeError):  # its loop is closed
            loop.call_soon_threadsafe(event.set)


@contextmanager
def waker(kind: str) -> Iterator[asyncio.Event]:
    """An event that is set whenever work of this kind may be due."""
    entry = (asyncio.get_running_loop(), asyncio.Event())
    _waiting.setdefault(kind, set()).add(entry)
    try:
        yield entry[1]
    finally:
        _waiting[kind].discard(entry)


def wake_elsewhere(tell: Callable[[str], None]) -> None:
    """Have other processes told as well, by this function, which must not wait and not raise."""
    if tell not in _elsewhere:
        _elsewhere.append(tell)
