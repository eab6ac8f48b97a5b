"""Worker processes of one kind, and the jobs that wait for them."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.embedded.job import Job
from calls.providers.embedded.messages import Kind, Message
from calls.providers.embedded.process import MODULE, WorkerProcess

WAITING_PER_WORKER = 4
"""So many jobs may wait for each worker; one more is told "busy" at once. As many as are done, one
by one, before those who wait give up."""

CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pool is for.

    Attributes:
        kind: the engine of its workers, as their program `module` calls it.
        provider: the name that errors carry.
        size: how many workers there are at most.
        limit_ms: the longest that one job may take.
        waiting: so many jobs may wait for each worker.
    """

    kind: str
    provider: str
    stage: Stage
    size: int
    limit_ms: int
    module: str = MODULE
    waiting: int = WAITING_PER_WORKER

    def error(self, kind: ProviderFault, message: str, *, retryable: bool = True) -> ProviderError:
        return ProviderError(
            kind, message, provider=self.provider, stage=self.stage, retryable=retryable
        )


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """How a pool is doing: counts of processes, of jobs, and of workers that died."""

    size: int
    ready: int
    busy: int
    waiting: int
    deaths: int


class WorkerPool:
    """Has jobs done by worker processes.

    Workers are started when they are needed, or by `warm`, and replaced when they die. A pool
    belongs to one event loop and has to be closed on it.
    """

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self._plan = plan
        self._clock = clock
        self._workers: list[WorkerProcess] = []
        self._dying: list[WorkerProcess] = []
        self._doing: dict[WorkerProcess, Job] = {}
        self._waiting: deque[Job] = deque()
        self._numbers = count(1)
        self._deaths = 0
        self._changed = asyncio.Event()

    @property
    def status(self) -> PoolStatus:
        ready = sum(worker.ready for worker in self._workers)
        doing, waiting = len(self._doing), len(self._waiting)
        return PoolStatus(self._plan.size, ready, doing, waiting, self._deaths)

    @property
    def idle(self) -> bool:
        """Whether a worker has nothing to do."""
        return sum(worker.ready for worker in self._workers) > len(self._doing)

    @property
    def pids(self) -> tuple[int, ...]:
        """The worker processes there are."""
        return tuple(worker.pid for worker in self._workers if worker.pid is not None)

    async def warm(self) -> None:
        """Start all workers and wait until they are ready.

        Raises:
            ProviderError: none of them starts.
        """
        while len(self._workers) < self._plan.size:
            await self._hire()
        while not all(worker.ready for worker in self._workers):
            self._changed.clear()
            await self._changed.wait()
        if not self._workers:
            raise self._unavailable()

    async def close(self) -> None:
        """End all workers; what waits or is being done fails. Idempotent."""
        for job in (*self._waiting, *self._doing.values()):
            job.fail(self._unavailable())
        self._waiting.clear()
        self._doing.clear()
        for worker in tuple(self._workers):
            worker.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                for worker in self._dying:
                    await worker.gone.wait()

    @asynccontextmanager
    async def job(self, payload: bytes, *, killable: bool = False) -> AsyncIterator[Job]:
        """Have this done. Leaving the context gives the worker up at once.

        Raises:
            ProviderError: too much is waiting already (BUSY).
        """
        if len(self._waiting) >= self._plan.waiting * self._plan.size:
            raise self._plan.error(ProviderFault.BUSY, "Too many people are speaking right now.")
        job = Job(next(self._numbers), payload, killable)
        self._waiting.append(job)
        self._assign()
        try:
            yield job
        finally:
            self._release(job)

    async def chunks(self, job: Job) -> AsyncIterator[bytes]:
        """Parts of the result as they come; ends once `job.result` is there.

        Raises:
            ProviderError: the engine failed, took too long (TIMEOUT) or died (CRASHED). A job
                whose worker died before its first part has been tried again.
        """
        while True:
            while job.chunks:
                yield job.chunks.popleft()
            if job.error is not None:
                raise job.error
            if job.result is not None:
                return
            await self._progress(job)

    async def result(self, job: Job) -> bytes:
        """The whole result; raises like `chunks`."""
        async for _ in self.chunks(job):
            pass
        return job.result or b""

    # What workers tell

    def on_ready(self, _worker: WorkerProcess) -> None:
        self._assign()

    def on_message(self, worker: WorkerProcess, message: Message) -> None:
        job = self._doing.get(worker)
        if job is None or job.number != message.job:
            return
        if message.kind is Kind.CHUNK:
            job.add(message.payload)
            return
        del self._doing[worker]
        if message.kind is Kind.DONE:
            job.succeed(message.payload)
        else:
            job.fail(self._plan.error(ProviderFault.INVALID, "The speech engine gave up on it."))
        self._assign()

    def on_overrun(self, worker: WorkerProcess) -> None:
        if (job := self._doing.get(worker)) is not None:
            job.fail(self._plan.error(ProviderFault.TIMEOUT, "The speech engine took too long."))

    def on_death(self, worker: WorkerProcess) -> None:
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        self._dying = [other for other in self._dying if not other.gone.is_set()] + [worker]
        self._deaths += 1
        if (job := self._doing.pop(worker, None)) is not None:
            self._rescue(job)
        unstartable = worker.pid is not None and not worker.ready
        if unstartable and not any(other.ready for other in self._workers):
            while self._waiting:
                self._waiting.popleft().fail(self._unavailable())
        self._assign()

    # Inside

    def _rescue(self, job: Job) -> None:
        """Its worker died under it."""
        if job.over or job.unwanted:
            return
        if job.retried or job.began:
            job.fail(self._plan.error(ProviderFault.CRASHED, "The speech engine broke down."))
        else:
            job.retried = True
            self._waiting.appendleft(job)

    def _assign(self) -> None:
        """Give waiting jobs to idle workers; whoever still waits sees whether to start one."""
        for worker in self._workers:
            if self._waiting and worker.ready and not worker.dead and worker not in self._doing:
                job = self._waiting.popleft()
                self._doing[worker] = job
                worker.begin(job.number, job.payload)
        for job in self._waiting:
            job.news.set()
        self._changed.set()

    async def _progress(self, job: Job) -> None:
        job.news.clear()
        if job in self._waiting and len(self._workers) < self._plan.size:
            await self._hire()
        await job.news.wait()

    async def _hire(self) -> None:
        plan = self._plan
        worker = WorkerProcess(plan.kind, plan.limit_ms, self._clock, self, module=plan.module)
        self._workers.append(worker)
        try:
            await worker.start()
        except OSError as error:
            raise self._unavailable() from error
        finally:
            if worker.pid is None and worker in self._workers:
                self._workers.remove(worker)
                self._assign()

    def _release(self, job: Job) -> None:
        job.unwanted = True
        if job in self._waiting:
            self._waiting.remove(job)
        for worker, doing in tuple(self._doing.items()):
            if doing is job and job.killable:
                worker.kill()
            elif doing is job:
                worker.cancel(job.number)

    def _unavailable(self) -> ProviderError:
        message = "The offline speech engine is not available."
        return self._plan.error(ProviderFault.UNAVAILABLE, message, retryable=False)
