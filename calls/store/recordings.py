"""Recordings: written as calls go on, by one thread of the process, so that no call ever waits."""

import asyncio
import atexit
import errno
import logging
import shutil
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from secrets import token_hex
from threading import Event, Lock, Thread

from typing_extensions import override

from calls.conf import calls_settings
from calls.domain.audio import AGENT, CALLER
from calls.models import RecordingState
from calls.ports.records import RecordingSink
from calls.store.gateway import gateway
from calls.store.tracks import CHANNELS, LEFT, RATE_HZ, RIGHT, Run, StereoFile, Track, joined
from calls.store.units import unit_recording

logger = logging.getLogger(__name__)

TICK_S = 0.5
SYNC_S = 5.0
CLOSE_TIMEOUT_S = 5.0
MOST_QUEUED_BYTES = 8 * 1024 * 1024
"""Of one recording; two minutes of both sides. A disk that hangs for longer ends it."""


class WavRecording(RecordingSink):
    """The recording of one call: caller left, agent right, 16 kHz.

    Begins with its construction. The sinks are called by one thread, the event loop's.
    """

    def __init__(self, call_id: str, writer: "RecordingWriter") -> None:
        self._given_bytes = 0
        self._closing: Future[None] | None = None
        self._writer = writer
        self._job = Job(call_id)
        writer.begin(self._job)

    @override
    def caller(self, start_ms: int, pcm: bytes) -> None:
        self._give(LEFT, start_ms, pcm)

    @override
    def agent(self, start_ms: int, pcm: bytes) -> None:
        self._give(RIGHT, start_ms, pcm)

    @override
    async def close(self, end_ms: int) -> None:
        if self._closing is None:
            self._closing = self._writer.end(self._job, end_ms)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await asyncio.shield(asyncio.wrap_future(self._closing))
        except TimeoutError:
            logger.warning("A recording is slow to close", extra={"call_id": self._job.call_id})

    def _give(self, channel: int, start_ms: int, pcm: bytes) -> None:
        job = self._job
        if job.over or self._closing is not None:
            return
        self._given_bytes += len(pcm)
        if self._given_bytes - job.taken_bytes > MOST_QUEUED_BYTES:
            job.overflowed = True
            return
        job.queue.append((channel, start_ms, pcm))


class Job:
    """What the writer knows of one recording. Filled by the call, worked off by the writer."""

    def __init__(self, call_id: str) -> None:
        self.call_id = call_id
        self.queue: deque[tuple[int, int, bytes]] = deque()
        self.taken_bytes = 0
        self.overflowed = False
        self.over = False
        self.end_ms: int | None = None
        self.closed: Future[None] = Future()
        self._path = ""
        self._file: StereoFile | None = None
        self._tracks = (Track(CALLER.rate_hz), Track(AGENT.rate_hz))

    def work(self, folder: Path, *, roomy: bool, sync: bool) -> None:
        """Write what is queued; an error ends this recording and nothing else."""
        end_ms = self.end_ms
        try:
            if self._file is None:
                self._open(folder)
            self._check(roomy=roomy)
            self._write(end_ms, sync=sync)
            if end_ms is not None:
                self._finish(RecordingState.COMPLETE)
        except Exception as error:  # noqa: BLE001 - the thread has other recordings
            extra = {"call_id": self.call_id, "error": type(error).__name__}
            logger.error("A recording ends early", extra=extra)  # noqa: TRY400 - no sound in logs
            self._finish(RecordingState.TRUNCATED if self._file else RecordingState.FAILED)

    def _check(self, *, roomy: bool) -> None:
        if not roomy:
            raise OSError(errno.ENOSPC, "less free space than has to be left")
        if self.overflowed:
            raise OSError(errno.EIO, "the disk is too slow")

    def _open(self, folder: Path) -> None:
        """Make the file, under a name that says nothing, and the row."""
        name = token_hex(16)
        self._path = f"{name[:2]}/{name}.wav"
        self._file = StereoFile(folder / self._path)
        self._tell(RecordingState.WRITING)

    def _write(self, end_ms: int | None, *, sync: bool) -> None:
        assert self._file is not None
        last = end_ms is not None
        sides = self._taken(last=last)
        for channel, runs in enumerate(sides):
            for run in joined(runs):
                self._file.place(channel, run)
        self._file.pad(end_ms or 0)
        if last or any(sides):
            self._file.checkpoint()
        if last or sync:
            self._file.sync()

    def _taken(self, *, last: bool) -> tuple[list[Run], list[Run]]:
        """What is queued, by side and in its place."""
        sides: tuple[list[Run], list[Run]] = ([], [])
        while self.queue:
            channel, start_ms, pcm = self.queue.popleft()
            self.taken_bytes += len(pcm)
            sides[channel].extend(self._tracks[channel].place(start_ms, pcm))
        for side, track in zip(sides, self._tracks, strict=True):
            if last:
                side.extend(track.flush())
        return sides

    def _finish(self, state: RecordingState) -> None:
        self.over = True
        self.queue.clear()
        if self._file is not None:
            with suppress(OSError):
                self._file.checkpoint()
            with suppress(OSError):
                self._file.close()
        self._tell(state).add_done_callback(self._closed)

    def _closed(self, _: Future[None]) -> None:
        if self.closed.set_running_or_notify_cancel():
            self.closed.set_result(None)

    def _tell(self, state: RecordingState) -> Future[None]:
        file = self._file
        unit = unit_recording(
            self.call_id,
            state,
            path=self._path,
            rate_hz=RATE_HZ,
            channels=CHANNELS,
            duration_ms=file.duration_ms if file else 0,
            size_bytes=file.size_bytes if file else 0,
        )
        return gateway().submit(unit)


class RecordingWriter:
    """The thread that writes all recordings of the process."""

    def __init__(self, folder: Path, *, floor_bytes: int) -> None:
        self._folder = folder
        self._floor_bytes = floor_bytes
        self._jobs: list[Job] = []
        self._begun: SimpleQueue[Job] = SimpleQueue()
        self._wake = Event()
        self._stopping = False
        self._synced_s = 0.0
        self._thread = Thread(target=self._run, name="calls-recordings", daemon=True)
        self._thread.start()

    def begin(self, job: Job) -> None:
        """Take a recording on. Never waits."""
        self._begun.put(job)
        self._wake.set()

    def end(self, job: Job, end_ms: int) -> Future[None]:
        """Close the recording, `end_ms` long; the future says when it is done. Never waits."""
        job.end_ms = end_ms
        self._wake.set()
        return job.closed

    def close(self, timeout_s: float = CLOSE_TIMEOUT_S) -> None:
        """Write what is queued and stop. What is still open is left for the reaper to close."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(TICK_S if self._jobs else None)
            self._wake.clear()
            self._tick()

    def _tick(self) -> None:
        while not self._begun.empty():
            self._jobs.append(self._begun.get())
        now_s = time.monotonic()
        sync = now_s - self._synced_s >= SYNC_S
        if sync:
            self._synced_s = now_s
        roomy = self._roomy()
        for job in self._jobs:
            job.work(self._folder, roomy=roomy, sync=sync)
        self._jobs = [job for job in self._jobs if not job.over]

    def _roomy(self) -> bool:
        """Whether there is more free space than has to be left."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return shutil.disk_usage(self._folder).free > self._floor_bytes
        except OSError:
            return True  # whatever is wrong, the writing will find out


_lock = Lock()
_opened: list[RecordingWriter] = []


def recording_open(call_id: str) -> WavRecording:
    """Begin the recording of a call that is on the record. Never waits, never fails."""
    with _lock:
        if not _opened:
            wanted = calls_settings()
            floor_bytes = wanted.free_space_floor_bytes
            _opened.append(RecordingWriter(wanted.recordings_dir, floor_bytes=floor_bytes))
        return WavRecording(call_id, _opened[0])


@atexit.register
def recordings_close() -> None:
    """Write what is queued and stop. Waits some seconds at most; idempotent."""
    with _lock:
        while _opened:
            _opened.pop().close()
