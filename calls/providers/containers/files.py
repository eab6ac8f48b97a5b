"""The decoder of files that clients send, and its workers."""

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderFault
from calls.ports.files import FILE_BYTES
from calls.providers.embedded.pool import Plan, PoolStatus, WorkerPool

MODULE = "calls.providers.containers.worker"
LIMIT_MS = 8_000
"""The longest that one file may take. Whoever sent it waits for so long at most."""


class ContainerFiles:
    """An `AudioFileDecoder` for WebM, Ogg and MP4.

    Belongs to one event loop, and is closed on it.
    """

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self._plan = plan
        self._pool = WorkerPool(plan, clock)

    @classmethod
    def with_workers(cls, count: int, clock: Clock) -> "ContainerFiles":
        """At most so many processes; none before the first file."""
        return cls(Plan("files", "files", Stage.STT, count, LIMIT_MS, MODULE), clock)

    @property
    def status(self) -> PoolStatus:
        return self._pool.status

    @property
    def pids(self) -> tuple[int, ...]:
        """The worker processes there are."""
        return self._pool.pids

    async def warm(self) -> None:
        """Start all workers.

        Raises:
            ProviderError: none of them starts.
        """
        await self._pool.warm()

    async def close(self) -> None:
        """End all workers. Idempotent."""
        await self._pool.close()

    async def decode(self, data: bytes) -> bytes:
        """All sound of the file; see `AudioFileDecoder`."""
        async with self._pool.job(data[:FILE_BYTES], killable=True) as job:
            pcm = b"".join([chunk async for chunk in self._pool.chunks(job)])
        if not pcm:
            message = "There is no sound in the file."
            raise self._plan.error(ProviderFault.INVALID, message, retryable=False)
        return pcm
