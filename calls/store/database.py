"""Work with the database off the event loop, on threads that nobody shares with the framework."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, ProgrammingError, connections, transaction

AWAY = (OperationalError, InterfaceError, ProgrammingError)
"""What is raised while the database cannot be reached, is busy for too long or not migrated."""

SOON_S = 3
_THREADS = 4

P = ParamSpec("P")
T = TypeVar("T")

_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="calls-database")


async def in_database(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a synchronous function that uses the ORM, and give back its connection afterwards.

    Raises:
        TimeoutError: only inside `asyncio.timeout`; the function goes on without an audience.
    """

    def run() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(_threads, run)


async def in_database_soon(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for what somebody waits for.

    Raises:
        OperationalError: there was no answer within 3 s; the function goes on without an audience.
    """
    try:
        async with asyncio.timeout(SOON_S):
            return await in_database(function, *args, **kwargs)
    except TimeoutError:
        raise OperationalError("The database does not answer.") from None


def after_commit(function: Callable[[], object]) -> None:
    """Call it once this thread's transaction is through; at once, without the database, if none is.

    What it raises after a transaction is logged.
    """
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(function, robust=True)
    else:
        function()
