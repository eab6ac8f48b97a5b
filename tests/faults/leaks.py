"""Nothing may be left of a call: no connection, no task."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

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
