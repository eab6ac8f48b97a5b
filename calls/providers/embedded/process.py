"""One worker process, as the event loop sees it: callbacks, and no task of its own."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, cast

from typing_extensions import override

from calls.ports.clock import Clock
from calls.providers.embedded.messages import Kind, Message, Unpacker, unpack_fields

logger = logging.getLogger(__name__)

MODULE = "calls.providers.embedded.worker"
ROOT = Path(__file__).parents[3]
"""Where `calls` is found: a worker starts there."""

START_MS = 30_000
ALARM_MS = 2_000
"""A worker's own alarm goes off so much after our limit: for workers that nobody watches."""


class Owner(Protocol):
    """Whoever is told what a worker does. None of it waits."""

    def on_ready(self, worker: "WorkerProcess") -> None: ...

    def on_message(self, worker: "WorkerProcess", message: Message) -> None:
        """A `CHUNK`, `DONE` or `FAILED` of a job."""
        ...

    def on_overrun(self, worker: "WorkerProcess") -> None:
        """It took too long; it dies next."""
        ...

    def on_death(self, worker: "WorkerProcess") -> None:
        """It does nothing any more. Told once."""
        ...


class WorkerProcess(asyncio.SubprocessProtocol):
    """A process that does one job at a time.

    Args:
        kind: the engine it runs, as its module calls it.
        limit_ms: the longest that a job may take; the process is killed then.
        module: the program, which takes `kind` and its alarm's milliseconds.
    """

    def __init__(
        self, kind: str, limit_ms: int, clock: Clock, owner: Owner, *, module: str = MODULE
    ) -> None:
        self.ready = False
        self.dead = False
        self.gone = asyncio.Event()
        """Set when the process has ended and its pipes are closed."""
        self._kind = kind
        self._module = module
        self._limit_ms = limit_ms
        self._clock = clock
        self._owner = owner
        self._unpacker = Unpacker()
        self._transport: asyncio.SubprocessTransport | None = None
        self._forget: Callable[[], None] = lambda: None

    @property
    def pid(self) -> int | None:
        return self._transport.get_pid() if self._transport else None

    async def start(self) -> None:
        """Start the process; `on_ready` follows.

        Raises:
            OSError: the system would not start it.
        """
        alarm_ms = str(self._limit_ms + ALARM_MS)
        self._transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: self,
            *(sys.executable, "-m", self._module, self._kind, alarm_ms),
            stderr=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
        )
        self._limit(START_MS)

    def begin(self, job: int, payload: bytes) -> None:
        """Have it do this job; its time counts from here on."""
        self._limit(self._limit_ms)
        self._send(Message(Kind.JOB, job, payload))

    def cancel(self, job: int) -> None:
        """Ask it to end this job soon; it still says that it did."""
        self._send(Message(Kind.CANCEL, job))

    def kill(self) -> None:
        """End it at once, whatever it does."""
        # Not through the transport: that would take the exit status away from whoever waits for it.
        if self._transport is not None and self._transport.get_returncode() is None:
            with suppress(ProcessLookupError):
                os.kill(self._transport.get_pid(), signal.SIGKILL)
        self._die()

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        try:
            for message in self._unpacker.feed(data):
                self._take(message)
        except (ValueError, KeyError):
            logger.warning("A speech worker talked nonsense.", extra={"engine": self._kind})
            self.kill()

    @override
    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.kill()

    @override
    def process_exited(self) -> None:
        self._die()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended, and everything it said has been read."""
        if self._transport is not None:
            self._transport.close()
        self._die()
        self.gone.set()

    def _take(self, message: Message) -> None:
        if message.kind is Kind.READY:
            self._forget()
            self.ready = True
            self._owner.on_ready(self)
        elif message.kind is Kind.FAILED and not message.job:
            reason = str(unpack_fields(message.payload)["error"])
            logger.error("A speech worker cannot start: %s", reason, extra={"engine": self._kind})
            self.kill()
        else:
            if message.kind is not Kind.CHUNK:
                self._forget()
            self._owner.on_message(self, message)

    def _send(self, message: Message) -> None:
        if self._transport is not None and not self.dead:
            pipe = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
            pipe.write(message.packed())

    def _limit(self, ms: int) -> None:
        self._forget()
        self._forget = self._clock.call_at(self._clock.now_ms() + ms, self._overrun)

    def _overrun(self) -> None:
        logger.warning("A speech worker took too long.", extra={"engine": self._kind})
        self._owner.on_overrun(self)
        self.kill()

    def _die(self) -> None:
        if not self.dead:
            self.dead = True
            self._forget()
            self._owner.on_death(self)
