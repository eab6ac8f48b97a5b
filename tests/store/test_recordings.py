"""A recording holds both sides where they were heard, whatever happens to its process or disk."""

import asyncio
import errno
import math
import os
import struct
from array import array

import numpy as np
import pytest

from calls.audio.wav import HEADER_BYTES, parse
from calls.models import Recording, RecordingState
from calls.store import recordings, tracks
from calls.store.database import in_database
from calls.store.recordings import recording_open, recordings_close
from calls.store.tracks import LEFT, RIGHT, Run, StereoFile, Track
from calls.store.waveforms import recording_peaks
from tests.store.factories import opened


def tone(rate_hz: int, ms: int, hz: int = 400, level: int = 8_000, begin: int = 0) -> bytes:
    steps = range(begin, begin + rate_hz * ms // 1000)
    return array(
        "h", (int(level * math.sin(2 * math.pi * hz * n / rate_hz)) for n in steps)
    ).tobytes()


def sides(path) -> tuple[np.ndarray, np.ndarray]:
    data = path.read_bytes()
    head = parse(data)
    assert (head.rate_hz, head.channels, head.data_bytes) == (16_000, 2, len(data) - HEADER_BYTES)
    both = np.frombuffer(data[HEADER_BYTES:], "<i2").reshape(-1, 2)
    return both[:, LEFT], both[:, RIGHT]


def sounding_ms(side: np.ndarray) -> tuple[int, int]:
    """Where sound begins and ends."""
    loud = np.flatnonzero(np.abs(side) > 500)
    return int(loud[0] // 16), int(loud[-1] // 16)


@pytest.fixture
def folder(own_folders):
    yield own_folders / "recordings"
    recordings_close()


class TestTrack:
    def test_frames_that_are_rounded_to_milliseconds_join_without_a_seam(self):
        whole = tone(16_000, 400)
        track = Track(16_000)
        size = 333 * 2  # 20.8 ms
        runs = []
        for at in range(0, len(whole), size):
            runs += track.place(at // 2 * 1000 // 16_000, whole[at : at + size])
        (run,) = tracks.joined(runs)
        assert (run.start, bytes(run.pcm)) == (0, whole)

    def test_a_gap_is_silence(self):
        track = Track(16_000)
        runs = track.place(0, b"\1\0" * 160) + track.place(500, b"\2\0" * 160)
        assert [(run.start, len(run.pcm)) for run in runs] == [(0, 320), (8_000, 320)]

    def test_an_overlap_is_dropped(self):
        track = Track(16_000)
        track.place(0, b"\1\0" * 1600)
        (run,) = track.place(50, b"\2\0" * 1600)
        assert (run.start, len(run.pcm)) == (1600, 1600)
        assert track.place(20, b"\3\0" * 160) == []

    def test_another_rate_keeps_place_and_length(self):
        track = Track(24_000)
        runs = track.place(1_000, tone(24_000, 500)) + track.flush()
        (run,) = tracks.joined([run for run in runs if run.pcm])
        assert run.start == 16_000
        assert abs(len(run.pcm) // 2 - 8_000) <= 1


class TestFile:
    def test_a_late_channel_leaves_the_other_one_as_it_is(self, tmp_path):
        file = StereoFile(tmp_path / "a.wav")
        file.place(LEFT, Run(0, bytearray(b"\1\0" * 100)))
        file.place(RIGHT, Run(50, bytearray(b"\2\0" * 100)))
        file.place(LEFT, Run(120, bytearray(b"\3\0" * 10)))
        file.checkpoint()
        left, right = sides(tmp_path / "a.wav")
        assert left.tolist() == [1] * 100 + [0] * 20 + [3] * 10 + [0] * 20
        assert right.tolist() == [0] * 50 + [2] * 100

    def test_a_place_beyond_the_format_is_ignored(self, tmp_path):
        file = StereoFile(tmp_path / "a.wav")
        file.place(LEFT, Run(2**31, bytearray(b"\1\0")))
        assert file.samples == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.asyncio
class TestRecording:
    async def test_both_sides_lie_where_they_were_heard(self, folder):
        await opened()
        recording = recording_open("call-1")
        for at in range(0, 2_000, 20):
            recording.caller(at, tone(16_000, 20) if 200 <= at < 700 else bytes(640))
        for at in range(0, 900, 60):
            recording.agent(1_000 + at, tone(24_000, 60, begin=at * 24))
        await recording.close(3_000)
        await recording.close(9_000)
        row = await in_database(stored)
        left, right = sides(row.file)
        assert len(left) == 3_000 * 16
        assert sounding_ms(left) == pytest.approx((200, 700), abs=2)
        assert sounding_ms(right) == pytest.approx((1_000, 1_900), abs=2)
        assert (row.state, row.duration_ms) == (RecordingState.COMPLETE, 3_000)
        assert row.size_bytes == row.file.stat().st_size

    async def test_the_file_is_playable_while_the_call_goes_on(self, folder):
        await opened()
        recording = recording_open("call-1")
        recording.caller(0, tone(16_000, 1_000))
        path = await first_file(folder, larger_than=30_000)
        left, _ = sides(path)
        assert len(left) == 16_000
        assert (await row_of_open_recording()).state == RecordingState.WRITING
        await recording.close(1_000)

    async def test_a_full_disk_ends_the_recording_only(self, folder, monkeypatch, caplog):
        await opened()
        recording = recording_open("call-1")
        recording.caller(0, tone(16_000, 500))
        await first_file(folder, larger_than=10_000)
        really = os.pwrite

        def full(file, data, offset):
            if offset:
                raise OSError(errno.ENOSPC, "No space left on device")
            return really(file, data, offset)

        monkeypatch.setattr(os, "pwrite", full)
        for at in range(500, 3_000, 100):
            recording.caller(at, tone(16_000, 100))
        await recording.close(3_000)
        row = await in_database(stored)
        assert (row.state, row.duration_ms) == (RecordingState.TRUNCATED, 500)
        assert sum("ends early" in line.message for line in caplog.records) == 1
        assert len(sides(row.file)[0]) == 8_000

    async def test_space_is_left_free(self, folder, settings):
        settings.CALLS = settings.CALLS | {"FREE_SPACE_FLOOR_BYTES": 2**60}
        await opened()
        recording = recording_open("call-1")
        recording.caller(0, tone(16_000, 100))
        await recording.close(100)
        assert (await in_database(stored)).state == RecordingState.TRUNCATED

    async def test_without_a_folder_the_recording_fails_and_the_call_does_not(self, folder):
        folder.parent.mkdir(exist_ok=True)
        folder.write_text("in the way")
        await opened()
        recording = recording_open("call-1")
        recording.caller(0, tone(16_000, 100))
        recording.agent(0, b"odd")
        await recording.close(100)
        assert (await in_database(stored)).state == RecordingState.FAILED

    async def test_a_disk_that_hangs_costs_a_bounded_amount_of_memory(self, folder, monkeypatch):
        monkeypatch.setattr(recordings, "MOST_QUEUED_BYTES", 1_000)
        await opened()
        writer = recordings.RecordingWriter.__new__(recordings.RecordingWriter)
        monkeypatch.setattr(writer, "begin", lambda job: None, raising=False)
        recording = recordings.WavRecording("call-1", writer)
        for at in range(0, 2_000, 20):
            recording.caller(at, bytes(640))
        job = recording._job
        assert sum(len(pcm) for _, _, pcm in job.queue) <= 1_000
        await in_database(job.work, folder, roomy=True, sync=False)
        assert job.over

    async def test_peaks_follow_the_sound(self, folder):
        await opened()
        recording = recording_open("call-1")
        recording.caller(0, bytes(3_200) + tone(16_000, 100, level=25_600))
        await recording.close(300)
        row = await in_database(stored)
        peaks = recording_peaks(row)
        quads = list(struct.iter_unpack("4b", peaks))
        assert len(quads) == 15
        assert quads[0] == (0, 0, 0, 0)
        assert quads[7][:2] == pytest.approx((-100, 100), abs=1)
        assert recording_peaks(row) == peaks
        assert row.file.with_name(row.file.name + ".peaks").exists()


async def row_of_open_recording() -> Recording:
    async with asyncio.timeout(5):
        while not await in_database(Recording.objects.exists):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return await in_database(stored)


def stored() -> Recording:
    return Recording.objects.get()


async def first_file(folder, larger_than: int):
    async with asyncio.timeout(5):
        while True:
            for path in folder.glob("*/*.wav"):
                if path.stat().st_size > larger_than and parse(path.read_bytes()).data_bytes:
                    return path
            await asyncio.sleep(0.01)
