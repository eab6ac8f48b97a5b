"""A speech worker: `python -m calls.providers.embedded.worker stt|tts <limit_ms>`.

A program of its own that reads jobs from its standard input and writes results to its standard
output, as `messages` describes. It leaves when its input ends, and is ended by an alarm when one
job takes longer than the limit, whatever its engine is doing.
"""

import os
import select
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator

from calls.domain.items import Mark
from calls.providers.embedded.messages import (
    Kind,
    Message,
    Unpacker,
    pack_fields,
    pack_sound,
    unpack_fields,
)

READ_BYTES = 1 << 16
"""As much as a pipe holds."""


class Line:
    """The two pipes to the web process."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        # Libraries may print: what they print must not end up among the messages.
        self._output = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        self._unpacker = Unpacker()
        self._waiting: deque[Message] = deque()

    def send(self, message: Message) -> None:
        rest = memoryview(message.packed())
        while rest:
            rest = rest[os.write(self._output, rest) :]

    def jobs(self) -> Iterator[Message]:
        """Jobs as they come, those excepted that are cancelled by then; ends with the input."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                if message.kind is Kind.JOB:
                    yield message
            if not self._read():
                return

    def cancelled(self, job: int) -> bool:
        """Whether the web process wants this job no more, or is gone."""
        while select.select([self._input], [], [], 0)[0]:
            if not self._read():
                return True
        return any(m.kind is Kind.CANCEL and m.job == job for m in self._waiting)

    def _read(self) -> bool:
        data = os.read(self._input, READ_BYTES)
        self._waiting.extend(self._unpacker.feed(data))
        return bool(data)


Work = Callable[[Line, Message], bytes]
"""Does a job; what it returns goes out with `DONE`."""


def recognition() -> Work:
    from calls.providers.embedded.recogniser import Recogniser

    recogniser = Recogniser()

    def recognise(_line: Line, job: Message) -> bytes:
        return recogniser.transcribe(job.payload).encode()

    return recognise


def synthesis() -> Work:
    from calls.providers.embedded.synthesiser import Synthesiser

    synthesiser = Synthesiser()

    def synthesise(line: Line, job: Message) -> bytes:
        def heard(pcm: bytes, marks: tuple[Mark, ...]) -> bool:
            line.send(Message(Kind.CHUNK, job.job, pack_sound(pcm, marks)))
            return line.cancelled(job.job)

        asked = unpack_fields(job.payload)
        synthesiser.speak(asked["text"], asked["voices"], asked["speed_wpm"], heard)
        return b""

    return synthesise


WORK = {"stt": recognition, "tts": synthesis}


def serve(line: Line, work: Work, limit_ms: int) -> None:
    """Do jobs until the input ends."""
    for job in line.jobs():
        signal.setitimer(signal.ITIMER_REAL, limit_ms / 1000)
        try:
            done = Message(Kind.DONE, job.job, work(line, job))
        except Exception as error:  # noqa: BLE001 - the next job may fare better
            done = Message(Kind.FAILED, job.job, pack_fields(error=type(error).__name__))
        line.send(done)
        signal.setitimer(signal.ITIMER_REAL, 0)


def run(prepare: Callable[[], Work], limit_ms: int) -> None:
    """Be a worker for what `prepare` makes ready, until the input ends."""
    # An interrupt from the terminal is for the web process, which then closes the line.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = Line()
    try:
        work = prepare()
    except Exception as error:  # noqa: BLE001 - said to the web process, which names it
        line.send(Message(Kind.FAILED, 0, pack_fields(error=f"{type(error).__name__}: {error}")))
        return
    line.send(Message(Kind.READY))
    serve(line, work, limit_ms)


if __name__ == "__main__":
    try:
        run(WORK[sys.argv[1]], int(sys.argv[2]))
    except BrokenPipeError:
        os._exit(0)
