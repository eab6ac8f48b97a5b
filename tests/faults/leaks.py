"""Nothing may be left of a call: no connection, no task."""

import asyncio
import gc
import os
import sys
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import CoroutineType, FrameType, FunctionType, GeneratorType, ModuleType

from calls.providers.elevenlabs.client import clients_close as elevenlabs_close
from calls.providers.openai.client import clients_close as openai_close
from tests.doubles.providers.base import ProviderDouble, serving

AT_ONCE_S = 1.5
"""What is to be free at once is free by then, however busy the machine is."""


class Sockets:
    """The sockets that this process had when this was made, and those since."""

    def __init__(self) -> None:
        self._before = _sockets()

    async def gone(self) -> None:
        """There are no more than before.

        Raises:
            AssertionError: there are.
        """
        await _soon(lambda: _sockets() <= self._before, "a connection is left open")


@asynccontextmanager
async def nothing_left(*doubles: ProviderDouble) -> AsyncIterator[Sockets]:
    """Serve the stand-ins; afterwards every socket and task of the block has to be gone.

    Both ends of a connection belong to this process: one that only the stand-in still holds counts.

    Raises:
        AssertionError: they are not.
    """
    tasks = asyncio.all_tasks()
    async with serving(*doubles):
        sockets = Sockets()
        yield sockets
        await freed(*doubles)
        await openai_close()
        await elevenlabs_close()
        await sockets.gone()
    await _soon(lambda: asyncio.all_tasks() <= tasks, "a task is left")


async def freed(*doubles: ProviderDouble) -> None:
    """None of the stand-ins answers anything any more."""
    for double in doubles:
        await _soon(lambda double=double: double.busy == 0, f"{type(double).__name__} is busy")


async def _soon(condition: Callable[[], object], trouble: str) -> None:
    try:
        async with asyncio.timeout(AT_ONCE_S):
            while not condition():  # noqa: ASYNC110 - sockets give no sign when they are gone
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(trouble) from None


def _sockets() -> int:
    """How many sockets this process holds."""
    place, count = "/proc/self/fd", 0
    for number in os.listdir(place):
        try:
            count += os.readlink(f"{place}/{number}").startswith("socket:")
        except OSError:
            continue  # that of the listing itself
    return count


MOST_CHAINS, LONGEST_CHAIN = 3, 40


def held_by(thing: object) -> str:
    """Who keeps it alive, from whatever nobody else keeps down to it: a chain a line.

    Looked for in what objects refer to: `gc.get_referrers` leaves out what tasks keep.
    """
    everything = gc.get_objects()
    holders: defaultdict[int, list[object]] = defaultdict(list)
    for holder in everything:
        if holder is not holders:
            for kept in gc.get_referents(holder):
                holders[id(kept)].append(holder)
    ours = {id(everything), id(holders), id(sys._getframe())}
    chains: list[str] = []
    seen = {id(thing)} | ours
    todo: deque[tuple[object, tuple[str, ...]]] = deque([(thing, (_told(thing),))])
    while todo and len(chains) < MOST_CHAINS:
        kept, chain = todo.popleft()
        found = [each for each in holders[id(kept)] if id(each) not in ours]
        if not found or _everybodys(kept) or len(chain) > LONGEST_CHAIN:
            chains.append(" > ".join(chain))
            continue
        for holder in found:
            if id(holder) not in seen:
                seen.add(id(holder))
                todo.append((holder, (_told(holder), *chain)))
    return "\n".join(chains)


def _everybodys(holder: object) -> bool:
    """Modules hold everything, and a frame that runs is held by the interpreter."""
    return isinstance(holder, ModuleType) or (isinstance(holder, dict) and "__name__" in holder)


def _told(holder: object) -> str:
    """What it is; never what is in it."""
    if isinstance(holder, FrameType):
        return f"frame of {holder.f_code.co_qualname} line {holder.f_lineno}"
    if isinstance(holder, dict):
        return f"dict {sorted(map(str, holder))[:4]}"
    if isinstance(holder, CoroutineType | GeneratorType | FunctionType):
        return f"{type(holder).__name__} {holder.__qualname__}"
    return type(holder).__qualname__
