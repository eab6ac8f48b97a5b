"""Speech workers: real processes, really killed."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from calls.domain.events import Stage
from calls.engine.clock import MonotonicClock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.embedded import process
from calls.providers.embedded.messages import (
    Kind,
    Message,
    Unpacker,
    pack_fields,
    unpack_sound,
)
from calls.providers.embedded.pool import Plan, WorkerPool

ROOT = Path(process.__file__).parents[3]

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def pool_of(size, *, limit_ms=5_000, kind="tts"):
    pool = WorkerPool(Plan(kind, "espeak-ng", Stage.TTS, size, limit_ms), MonotonicClock())
    try:
        yield pool
    finally:
        await pool.close()


def say(text):
    return pack_fields(text=text, voices=["en-us+klatt4"], speed_wpm=165)


async def spoken_bytes(pool, text):
    async with pool.job(say(text)) as job:
        return sum([len(unpack_sound(chunk)[0]) async for chunk in pool.chunks(job)])


LONG = "One two three four five six seven eight nine ten. " * 36
"""Several minutes of speech: work for a good part of a second."""


async def test_jobs_are_done_one_after_the_other_and_side_by_side():
    async with pool_of(2) as pool:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(spoken_bytes(pool, f"Number {n}.")) for n in range(8)]
        assert all(task.result() > 10_000 for task in tasks)
        assert len(pool.pids) == 2
        assert (pool.status.busy, pool.status.waiting, pool.status.deaths) == (0, 0, 0)


async def test_a_worker_killed_in_mid_job_fails_that_job_and_no_other():
    async with pool_of(1) as pool:
        async with pool.job(say(LONG)) as job:
            await anext(pool.chunks(job))
            os.kill(pool.pids[0], signal.SIGKILL)
            with pytest.raises(ProviderError) as failed:
                await pool.result(job)
        assert failed.value.kind is ProviderFault.CRASHED
        assert failed.value.retryable
        assert await spoken_bytes(pool, "Still here.") > 10_000
        assert pool.status.deaths == 1


async def test_a_job_that_had_no_result_yet_is_tried_again_on_a_new_worker():
    async with pool_of(1) as pool:
        await pool.warm()
        (first,) = pool.pids
        os.kill(first, signal.SIGSTOP)  # it takes the job and does not get to do it
        async with pool.job(say("Hello.")) as job:
            os.kill(first, signal.SIGKILL)
            parts = [chunk async for chunk in pool.chunks(job)]
        assert parts
        assert pool.pids != (first,)


async def test_a_job_that_kills_two_workers_is_given_up():
    async with pool_of(1) as pool:
        async with asyncio.TaskGroup() as group:
            killing = group.create_task(kill_whatever_starts(pool))
            error = await refused(pool)
            killing.cancel()
        assert error.kind in (ProviderFault.CRASHED, ProviderFault.UNAVAILABLE)


async def kill_whatever_starts(pool):
    while True:
        for pid in pool.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0)


async def test_a_job_that_takes_too_long_is_ended_and_the_next_one_works():
    async with pool_of(1, limit_ms=400) as pool:
        await pool.warm()
        (stuck,) = pool.pids
        os.kill(stuck, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(ProviderError) as failed:
            await spoken_bytes(pool, "Hello.")
        assert failed.value.kind is ProviderFault.TIMEOUT
        assert 0.3 < time.monotonic() - began < 3
        assert await spoken_bytes(pool, "Hello.") > 10_000


async def test_a_full_queue_says_busy_at_once():
    async with pool_of(1) as pool:
        await pool.warm()
        os.kill(pool.pids[0], signal.SIGSTOP)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(spoken_bytes(pool, "Hello.")) for _ in range(5)]
            await until(lambda: pool.status.waiting == 4)
            with pytest.raises(ProviderError) as failed:
                await spoken_bytes(pool, "One too many.")
            assert failed.value.kind is ProviderFault.BUSY
            assert failed.value.retryable
            os.kill(pool.pids[0], signal.SIGCONT)
        assert all(task.result() for task in tasks)


async def test_leaving_a_job_frees_its_worker_at_once():
    async with pool_of(1) as pool:
        async with pool.job(say(LONG)) as job:
            async for _ in pool.chunks(job):
                break
        began = time.monotonic()
        assert await spoken_bytes(pool, "Next.") > 5_000
        assert time.monotonic() - began < 1
        assert pool.status.deaths == 0


async def test_leaving_a_job_that_waits_takes_it_out_of_the_queue():
    async with pool_of(1) as pool:
        await pool.warm()
        os.kill(pool.pids[0], signal.SIGSTOP)
        async with pool.job(say("First.")) as first:
            async with pool.job(say("Second.")):
                assert pool.status.waiting == 1
            assert pool.status.waiting == 0
            os.kill(pool.pids[0], signal.SIGCONT)
            await pool.result(first)


async def test_leaving_a_job_whose_engine_cannot_stop_replaces_the_worker():
    async with pool_of(1) as pool:
        await pool.warm()
        (first,) = pool.pids
        os.kill(first, signal.SIGSTOP)
        async with pool.job(say("Hello."), killable=True):
            pass
        assert await spoken_bytes(pool, "Hello again.") > 10_000
        assert first not in pool.pids


async def test_an_engine_that_refuses_fails_its_job_alone():
    async with pool_of(1) as pool:
        with pytest.raises(ProviderError) as failed:
            async with pool.job(pack_fields(text="Hi.", voices=["xx"], speed_wpm=165)) as job:
                await pool.result(job)
        assert failed.value.kind is ProviderFault.INVALID
        assert await spoken_bytes(pool, "Hello.") > 10_000
        assert pool.status.deaths == 0


async def test_workers_that_do_not_start_fail_what_waits():
    async with pool_of(2, kind="no such engine") as pool:
        with pytest.raises(ProviderError) as failed:
            await spoken_bytes(pool, "Hello.")
        assert failed.value.kind is ProviderFault.UNAVAILABLE
        with pytest.raises(ProviderError):
            await pool.warm()


async def test_closing_fails_what_is_under_way_and_leaves_no_process():
    async with pool_of(1) as pool, asyncio.TaskGroup() as group:
        await pool.warm()
        pids = pool.pids
        os.kill(pids[0], signal.SIGSTOP)
        task = group.create_task(refused(pool))
        await until(lambda: pool.status.busy)
        await pool.close()
        assert (await task).kind is ProviderFault.UNAVAILABLE
        assert not any(alive(pid) for pid in pids)
        await pool.close()


async def until(met):
    async with asyncio.timeout(5):
        while not met():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.001)


async def refused(pool):
    with pytest.raises(ProviderError) as failed:
        await spoken_bytes(pool, "Hello.")
    return failed.value


def alive(pid: int) -> bool:
    """Whether the process runs, and is not merely unburied."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


PARENT = """
    import asyncio, sys
    from calls.domain.events import Stage
    from calls.engine.clock import MonotonicClock
    from calls.providers.embedded.pool import Plan, WorkerPool

    async def main():
        pools = [
            WorkerPool(Plan(kind, kind, Stage.TTS, 1, 5_000), MonotonicClock())
            for kind in ("tts", "stt")
        ]
        for pool in pools:
            await pool.warm()
        print(*(pid for pool in pools for pid in pool.pids), flush=True)
        await asyncio.sleep(60)

    asyncio.run(main())
"""


async def test_no_worker_outlives_a_parent_that_was_killed():
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(PARENT), stdout=subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    parent.kill()
    await parent.wait()
    await until(lambda: not any(alive(pid) for pid in pids))


async def test_a_worker_knows_no_framework():
    code = (
        "import sys, calls.providers.embedded.worker as w; w.WORK['tts'](); w.WORK['stt']();"
        "sys.exit(any(name.partition('.')[0] in ('django', 'channels') for name in sys.modules))"
    )
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT)
    assert await worker.wait() == 0


async def test_messages_are_found_however_the_stream_is_cut():
    messages = [Message(Kind.READY), Message(Kind.CHUNK, 7, b"abc"), Message(Kind.DONE, 7)]
    stream = b"".join(message.packed() for message in messages)
    unpacker = Unpacker()
    assert [m for byte in stream for m in unpacker.feed(bytes([byte]))] == messages
    assert list(Unpacker().feed(stream)) == messages


@pytest.mark.parametrize("stream", [b"\xff" * 9, Message(Kind.DONE).packed()[:4] + b"\x63" * 5])
async def test_a_stream_of_something_else_is_noticed(stream):
    with pytest.raises(ValueError, match=r"alignment|not a valid"):
        list(Unpacker().feed(stream))
