"""A worker for files: `python -m calls.providers.containers.worker files <limit_ms>`.

Speaks the protocol of the embedded workers. Whatever a file makes the decoder do stays within the
worker's limits of memory, computing time and open files, and it can write none.
"""

import os
import resource
import sys
from contextlib import suppress

from calls.domain.audio import CALLER
from calls.ports.files import FILE_MS
from calls.providers.containers.decoding import sound_of
from calls.providers.embedded.messages import Kind, Message
from calls.providers.embedded.worker import Line, Work, run

MEMORY_BYTES = 512 * 1024 * 1024
"""Address space; libraries take 120 MB of it, most of which is never touched."""

OPEN_FILES = 16
CPU_S = 10
"""For one file; three seconds of speech take some 20 ms."""


def decoding() -> Work:
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)
    _limit(resource.RLIMIT_NOFILE, OPEN_FILES)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)

    def decode(line: Line, job: Message) -> bytes:
        _limit_cpu()
        for pcm in sound_of(job.payload, CALLER.bytes(FILE_MS)):
            line.send(Message(Kind.CHUNK, job.job, pcm))
        return b""

    return decode


def _limit(what: int, most: int) -> None:
    # Systems differ in what they let a process limit.
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (most, most))


def _limit_cpu() -> None:
    """From here on; the system ends a process that computes for longer."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    most = int(used.ru_utime + used.ru_stime) + CPU_S
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


WORK = {"files": decoding}

if __name__ == "__main__":
    try:
        run(WORK[sys.argv[1]], int(sys.argv[2]))
    except BrokenPipeError:
        os._exit(0)
