"""Calling code that may be sync or async, and may give one value or many."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from functools import partial
from inspect import isasyncgenfunction, isawaitable, iscoroutinefunction
from typing import Any

from calls.agents.workers import workers

_SINGLE = (str, bytes, bytearray, memoryview, Mapping)


@dataclass(frozen=True, slots=True)
class _Later:
    """A sync function's outcome that only the event loop can unfold."""

    outcome: Any


async def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the function returns. A sync one runs in a thread.

    Raises:
        WorkersBusyError: no thread is to be had.
        LeftError: the function, in a thread, raised `SystemExit` or its like.
        Exception: whatever else the function raises.
    """
    if iscoroutinefunction(function):
        return await function(*args, **kwargs)
    outcome = await workers().run(partial(function, *args, **kwargs))
    return await outcome if isawaitable(outcome) else outcome


async def stream(function: Callable[..., Any], *args: Any) -> AsyncGenerator[Any, None]:
    """What the function gives: the parts of an iterator of either kind, or its one value.

    None counts as no part. A sync function and the iterator that it returns run in one thread.

    Raises:
        WorkersBusyError: no thread is to be had.
        Exception: whatever the function raises.
    """
    if iscoroutinefunction(function) or isasyncgenfunction(function):
        outcome = function(*args)
    else:
        outcome = workers().iterate(partial(_unfold_in_thread, function, args))
    async with aclosing(_unfold(outcome)) as parts:
        async for part in parts:
            if isinstance(part, _Later):
                async with aclosing(_unfold(part.outcome)) as later:
                    async for one in later:
                        yield one
            elif part is not None:
                yield part


async def _unfold(outcome: Any) -> AsyncGenerator[Any, None]:
    if isawaitable(outcome):
        outcome = await outcome
    if _many(outcome):
        outcome = workers().iterate(partial(iter, outcome))
    if not isinstance(outcome, AsyncIterator):
        yield outcome
        return
    closing = aclosing(outcome) if isinstance(outcome, AsyncGenerator) else nullcontext()
    async with closing:
        async for part in outcome:
            yield part


def _unfold_in_thread(function: Callable[..., Any], args: tuple[Any, ...]) -> Iterator[Any]:
    outcome = function(*args)
    if isawaitable(outcome) or isinstance(outcome, AsyncIterator):
        yield _Later(outcome)
    elif _many(outcome):
        yield from outcome
    else:
        yield outcome


def _many(outcome: Any) -> bool:
    return isinstance(outcome, Iterable) and not isinstance(outcome, _SINGLE)
