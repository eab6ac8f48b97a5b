"""Tasks that help another one, ended by it."""

import asyncio


async def ended(task: asyncio.Task[None]) -> None:
    """Wait until the task is over; every cancellation of our own is passed on to it."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as again:
            cancelled = again
            task.cancel()
    if cancelled is not None:
        try:
            raise cancelled
        finally:
            cancelled = None
