"""Sound out of files that strangers send: real processes, and files that mean no good."""

import asyncio
import io
import os
import random
import signal
import time
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from calls.domain.audio import CALLER
from calls.domain.events import Stage
from calls.engine.clock import MonotonicClock
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.files import FILE_BYTES, FILE_MS
from calls.providers.containers.files import ContainerFiles
from calls.providers.containers.worker import MEMORY_BYTES, OPEN_FILES
from calls.providers.embedded.pool import Plan
from tests.providers.recorder import KINDS, pieces, recorded, speech

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

SPEECH = speech()
SAID = {name: speech(name) for name in ("hello", "yes", "appointment", "goodbye")}


@cache
def file_of(kind):
    return recorded(SPEECH, kind)


@asynccontextmanager
async def decoder(workers=1):
    files = ContainerFiles.with_workers(workers, MonotonicClock())
    try:
        yield files
    finally:
        await files.close()


@asynccontextmanager
async def bad_decoder(kind, limit_ms=5_000):
    module = "tests.providers.bad_files_worker"
    plan = Plan(kind, "files", Stage.STT, 1, limit_ms, module)
    files = ContainerFiles(plan, MonotonicClock())
    try:
        yield files
    finally:
        await files.close()


async def refused(files, data):
    with pytest.raises(ProviderError) as failed:
        await files.decode(data)
    assert failed.value.stage is Stage.STT
    return failed.value.kind


def likeness(pcm, other):
    """How much two pieces of sound are the same, 0 to 1, the shift that fits best."""
    one, two = (np.frombuffer(sound, "<i2").astype(float) for sound in (pcm, other))
    size = 1 << (len(one) + len(two)).bit_length()
    fit = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(two, size)))
    return float(fit.max() / np.sqrt((one**2).sum() * (two**2).sum()))


# What clients send


@pytest.mark.parametrize("kind", KINDS)
async def test_the_sound_of_a_file_is_what_was_said(kind):
    async with decoder() as files:
        pcm = await files.decode(file_of(kind))
    assert abs(CALLER.ms(pcm) - CALLER.ms(SPEECH)) < 120
    assert likeness(pcm, SPEECH) > 0.9


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
async def test_whatever_the_recorder_recorded(layout, rate_hz):
    async with decoder() as files:
        pcm = await files.decode(recorded(SPEECH, "webm", rate_hz=rate_hz, layout=layout))
    assert likeness(pcm, SPEECH) > 0.9


@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_whose_end_is_missing_gives_what_there_is(kind):
    """Clients say that the turn is over before their recorder's last piece."""
    short = b"".join(pieces(file_of(kind))[:-3])
    async with decoder() as files:
        pcm = await files.decode(short)
    assert CALLER.ms(SPEECH) * 0.6 < CALLER.ms(pcm) < CALLER.ms(SPEECH)
    assert likeness(pcm, SPEECH[: len(pcm)]) > 0.8


async def test_many_files_at_once_are_not_mixed():
    made = {name: recorded(pcm) for name, pcm in SAID.items()}
    async with decoder(2) as files, asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(files.decode(file)) for name, file in made.items()}
    for name, task in tasks.items():
        fits = {other: likeness(task.result(), pcm) for other, pcm in SAID.items()}
        assert max(fits, key=fits.__getitem__) == name


async def test_a_short_file_costs_little_time():
    file = file_of("webm")
    async with decoder() as files:
        await files.warm()
        began_s = time.monotonic()
        await files.decode(file)
        assert time.monotonic() - began_s < 1


async def test_no_process_before_the_first_file_and_none_after_the_last():
    async with decoder(2) as files:
        assert files.pids == ()
        await files.decode(file_of("ogg"))
        (pid,) = files.pids
        await files.close()
        assert files.pids == ()
        await files.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# What means no good


async def test_of_a_very_long_file_the_beginning_is_taken():
    quiet = bytes(CALLER.bytes(FILE_MS + 60_000))
    endless = recorded(quiet, "ogg", rate_hz=16_000, layout="mono")
    async with decoder() as files:
        pcm = await files.decode(endless)
    assert CALLER.ms(pcm) == FILE_MS


def video(with_sound):
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        picture = container.add_stream("mpeg4", rate=10, width=320, height=240, pix_fmt="yuv420p")
        sound = container.add_stream("libopus", rate=48_000, layout="mono") if with_sound else None
        for number in range(20):
            image = np.full((240, 320, 3), number, np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(picture.encode(None))
        if sound is not None:
            frame = av.AudioFrame(format="s16", layout="mono", samples=48_000)
            frame.sample_rate = 48_000
            frame.planes[0].update(bytes(96_000))
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return file.getvalue()


def crowd(streams):
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        for _ in range(streams):
            container.add_stream("libopus", rate=48_000, layout="mono")
        container.start_encoding()
    return file.getvalue()


def without_sound():
    return {
        "nothing": b"",
        "noise": random.Random(1).randbytes(5_000),
        "playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "list": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "text": b"<html>" * 100,
        "wav": b"RIFF\xff\xff\xff\xffWAVEfmt ",
        "webm-head": file_of("webm")[:40],
        "webm-and-noise": b"\x1a\x45\xdf\xa3" + random.Random(2).randbytes(5_000),
        "webm-of-any-length": b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" * 50,
        "ogg-and-noise": b"OggS" + random.Random(3).randbytes(5_000),
        "ogg-pages-without-end": b"OggS\0\2".ljust(26, b"\0") + b"\xff" * 256,
        "mp4-and-noise": b"\0\0\0\x1cftyp" + random.Random(4).randbytes(5_000),
        "mp4-of-any-length": b"\0\0\0\x1cftypisom".ljust(28, b"\0") + b"\xff\xff\xff\xffmoov" * 50,
        "mp4-in-mp4": b"\0\0\0\x1cftypisom".ljust(28, b"\0")
        + b"\x7f\xff\xff\xffmoov\x7f\xff\xff\xfetrak" * 500,
        "mp4-without-index": file_of("mp4")[:40] + b"\0\0\x10\0mdat".ljust(4_096, b"\1"),
        "video": video(with_sound=False),
        "crowd": crowd(300),
    }


async def test_files_without_sound_are_refused_and_the_worker_lives_on():
    async with decoder() as files:
        await files.warm()
        pids = files.pids
        for name, data in without_sound().items():
            assert await refused(files, data) is ProviderFault.INVALID, name
        assert files.pids == pids
        assert files.status.deaths == 0
        assert likeness(await files.decode(file_of("webm")), SPEECH) > 0.9


async def test_of_a_video_the_sound_is_taken():
    async with decoder() as files:
        assert 900 < CALLER.ms(await files.decode(video(with_sound=True))) < 1_100


def damaged(data, seed):
    """The file with some of its bytes changed, or parts of it twice, or missing."""
    chance = random.Random(seed)
    file = bytearray(data)
    for _ in range(chance.choice((1, 10, 300))):
        at = chance.randrange(len(file))
        match chance.randrange(4):
            case 0:
                file[at] = chance.randrange(256)
            case 1:
                file[at : at + 4] = b"\xff" * 4
            case 2:
                del file[at : at + chance.randrange(50)]
            case _:
                file[at:at] = file[at : at + chance.randrange(50)]
    return data[:8] + bytes(file[8:])


@pytest.mark.parametrize("kind", KINDS)
async def test_damaged_files_give_something_or_are_refused(kind):
    """Whatever comes of them, the next file is decoded."""
    gave, faults = 0, set()
    async with decoder(2) as files:
        for seed in range(120):
            try:
                pcm = await files.decode(damaged(file_of(kind), seed))
            except ProviderError as error:
                faults.add(error.kind)
            else:
                gave += bool(pcm)
                assert len(pcm) % 2 == 0
        assert likeness(await files.decode(file_of(kind)), SPEECH) > 0.9
    assert gave > 20
    assert faults <= {ProviderFault.INVALID, ProviderFault.CRASHED}


async def test_the_longest_file_is_taken_and_no_longer_one():
    async with decoder() as files:
        long = file_of("ogg") + bytes(FILE_BYTES)
        assert likeness(await files.decode(long), SPEECH) > 0.9


# Workers that a file got the better of


async def test_a_worker_that_is_killed_is_replaced():
    async with decoder() as files:
        await files.warm()
        (first,) = files.pids
        os.kill(first, signal.SIGSTOP)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(files.decode(file_of("webm")))
            await asyncio.sleep(0)
            os.kill(first, signal.SIGKILL)
        assert likeness(task.result(), SPEECH) > 0.9
        assert files.pids != (first,)


async def test_a_worker_that_wants_all_memory_does_not_get_it():
    async with bad_decoder("hungry") as files:
        assert await refused(files, b"all of it") is ProviderFault.INVALID
        assert files.status.deaths == 0
        assert likeness(await files.decode(file_of("webm")), SPEECH) > 0.9


async def test_a_worker_that_never_ends_is_ended():
    async with bad_decoder("endless", limit_ms=500) as files:
        await files.warm()
        began_s = time.monotonic()
        assert await refused(files, file_of("webm")) is ProviderFault.TIMEOUT
        assert 0.4 < time.monotonic() - began_s < 5


async def test_a_file_that_kills_every_worker_is_given_up():
    async with bad_decoder("thorough") as files:
        assert await refused(files, file_of("webm")) is ProviderFault.CRASHED
        assert files.status.deaths == 2


LIMITS = {
    "Max address space": MEMORY_BYTES,
    "Max open files": OPEN_FILES,
    "Max file size": 0,
    "Max core file size": 0,
}


def limits_of(pid):
    rows = Path(f"/proc/{pid}/limits").read_text().splitlines()
    cells = {name: row[len(name) :].split() for name in LIMITS for row in rows if name in row}
    return {name: int(soft) for name, (soft, *_) in cells.items()}


async def test_a_worker_runs_within_limits():
    async with decoder() as files:
        await files.warm()
        (pid,) = files.pids
        assert await asyncio.to_thread(limits_of, pid) == LIMITS


async def test_too_many_files_at_once_are_refused():
    async with decoder() as files:
        await files.warm()
        os.kill(files.pids[0], signal.SIGSTOP)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(files.decode(file_of("webm"))) for _ in range(5)]
            while files.status.waiting < 4:  # noqa: ASYNC110 - the tasks only have to begin
                await asyncio.sleep(0)
            assert await refused(files, file_of("webm")) is ProviderFault.BUSY
            os.kill(files.pids[0], signal.SIGCONT)
        assert all(task.result() for task in tasks)
