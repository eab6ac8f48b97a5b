"""Threads for agents' code: bounded, tidy, and never the end of the process."""

import asyncio
import sys
import threading
from contextlib import aclosing
from contextvars import ContextVar

import pytest
from django.db import connection

from calls.agents.calling import call, stream
from calls.agents.workers import PARTS_AHEAD, LeftError, Workers, WorkersBusyError

HERE = ContextVar("HERE", default="nowhere")
WAIT_S = 5


@pytest.fixture
def pool() -> Workers:
    return Workers(threads=2, waiting=1)


@pytest.mark.asyncio
async def test_a_job_runs_in_another_thread_with_the_context_of_its_caller(pool):
    HERE.set("in the call")
    ran_in, where = await pool.run(lambda: (threading.current_thread(), HERE.get()))
    assert ran_in is not threading.main_thread()
    assert where == "in the call"


@pytest.mark.asyncio
async def test_no_more_threads_than_allowed_and_no_more_waiting(pool):
    go = threading.Event()
    names = set()

    def job():
        names.add(threading.current_thread().ident)
        go.wait(WAIT_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(pool.run(job))
        await asyncio.sleep(0)
        with pytest.raises(WorkersBusyError):
            await pool.run(job)
        go.set()
    assert len(names) == 2
    assert await pool.run(lambda: "again") == "again"


@pytest.mark.asyncio
@pytest.mark.parametrize("leaving", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration])
async def test_what_would_end_the_loop_comes_out_as_an_ordinary_error(pool, leaving):
    def job():
        raise leaving

    with pytest.raises(LeftError, match=leaving.__name__):
        await pool.run(job)
    assert await pool.run(lambda: "alive") == "alive"


@pytest.mark.asyncio
async def test_a_job_that_nobody_waits_for_any_more_is_not_begun(pool):
    go = threading.Event()
    begun = []
    busy = [asyncio.get_running_loop().create_task(pool.run(lambda: go.wait(WAIT_S))) for _ in "ab"]
    await asyncio.sleep(0)
    left = asyncio.get_running_loop().create_task(pool.run(lambda: begun.append(1)))
    await asyncio.sleep(0)
    left.cancel()
    go.set()
    await asyncio.gather(*busy)
    await pool.run(lambda: None)
    assert left.cancelled()
    assert begun == []


@pytest.mark.asyncio
async def test_parts_of_an_iterator_all_come_from_one_thread_and_no_faster_than_taken(pool):
    made = []

    def parts():
        for number in range(100):
            made.append(number)
            yield threading.get_ident()

    async with aclosing(pool.iterate(parts)) as given:
        first = await anext(given)
        await pool.run(lambda: None)
        assert len(made) <= PARTS_AHEAD + 2
        rest = [ident async for ident in given]
    assert {first, *rest} == {first}
    assert len(rest) == 99


@pytest.mark.asyncio
async def test_leaving_an_iterator_closes_it_in_its_own_thread(pool):
    closed = threading.Event()
    idents = []

    def parts():
        try:
            while True:
                idents.append(threading.get_ident())
                yield "more"
        finally:
            idents.append(threading.get_ident())
            closed.set()

    async with aclosing(pool.iterate(parts)) as given:
        assert await anext(given) == "more"
    assert await pool.run(lambda: closed.wait(WAIT_S))
    assert len(set(idents)) == 1


@pytest.mark.asyncio
async def test_an_iterator_that_fails_has_given_what_it_had(pool):
    def parts():
        yield 1
        raise LookupError

    async with aclosing(pool.iterate(parts)) as given:
        assert await anext(given) == 1
        with pytest.raises(LookupError):
            await anext(given)


@pytest.mark.django_db(transaction=True)
@pytest.mark.asyncio
async def test_the_orm_works_and_no_connection_is_left_behind():
    async def count():
        from calls.models import Agent

        return await call(Agent.objects.count)

    pool = Workers(threads=1, waiting=1)
    assert isinstance(await count(), int)

    def open_one():
        connection.ensure_connection()
        return connection.connection is not None

    assert await pool.run(open_one)
    assert await pool.run(lambda: connection.connection is None)


def _plain():
    return "one"


def _listed():
    return ["a", "b"]


def _generated():
    yield "a"
    yield "b"


async def _awaited():
    return "one"


async def _awaited_list():
    return ["a", "b"]


async def _async_generated():
    yield "a"
    yield "b"


async def _awaited_async_generator():
    return _async_generated()


def _returned_coroutine():
    return _awaited()


def _returned_async_generator():
    return _async_generated()


class _PlainAsyncIterator:
    def __init__(self):
        self.left = ["b", "a"]

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("function", "given"),
    [
        (_plain, ["one"]),
        (_listed, ["a", "b"]),
        (_generated, ["a", "b"]),
        (_awaited, ["one"]),
        (_awaited_list, ["a", "b"]),
        (_async_generated, ["a", "b"]),
        (_awaited_async_generator, ["a", "b"]),
        (_returned_coroutine, ["one"]),
        (_returned_async_generator, ["a", "b"]),
        (_PlainAsyncIterator, ["a", "b"]),
        (lambda: None, []),
        (lambda: b"sound", [b"sound"]),
        (lambda: {"a": 1}, [{"a": 1}]),
    ],
)
async def test_every_kind_of_function_gives_its_parts(function, given):
    assert [part async for part in stream(function)] == given


@pytest.mark.asyncio
@pytest.mark.parametrize("function", [_plain, _awaited, _returned_coroutine])
async def test_every_kind_of_function_gives_its_value(function):
    assert await call(function) == "one"


@pytest.mark.asyncio
async def test_leaving_a_stream_closes_an_async_generator():
    closed = []

    async def parts():
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    async with aclosing(stream(parts)) as given:
        await anext(given)
    assert closed == [True]


@pytest.mark.asyncio
async def test_exit_from_a_thread_does_not_exit():
    with pytest.raises(LeftError, match="SystemExit"):
        await call(sys.exit)
