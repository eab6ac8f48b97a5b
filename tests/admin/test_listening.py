"""A recording is heard in any part, in any state, by those who may; and it is known who did."""

import os

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import AsyncClient

from calls.audio.wav import parse
from calls.media import UnsatisfiableError, range_of
from calls.models import AuditEntry, Recording
from tests.store.factories import demo_conversation

URL = "/admin/calls/conversation/demo-call/audio/"


@pytest.mark.parametrize(
    ("header", "part"),
    [
        pytest.param("", None, id="none: all of it"),
        pytest.param("bytes=0-", (0, 999), id="from the start"),
        pytest.param("bytes=10-19", (10, 19), id="a part"),
        pytest.param("bytes=990-5000", (990, 999), id="past the end"),
        pytest.param("bytes=-100", (900, 999), id="the last bytes"),
        pytest.param("bytes=-5000", (0, 999), id="more than all"),
        pytest.param("bytes=999-999", (999, 999), id="the last byte"),
        pytest.param("bytes=5-4", None, id="backwards: no range at all"),
        pytest.param("bytes=-", None, id="no numbers"),
        pytest.param("bytes=0-1,5-6", None, id="several: all of it"),
        pytest.param("items=0-1", None, id="another unit"),
        pytest.param("bytes=1e3-", None, id="no whole number"),
    ],
)
def test_ranges(header, part):
    assert range_of(header, 1_000) == part


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=5000-6000", "bytes=-0"])
def test_ranges_outside(header):
    with pytest.raises(UnsatisfiableError):
        range_of(header, 1_000)


def body(response) -> bytes:
    return b"".join(response.streaming_content)


@pytest.mark.django_db
class TestAudio:
    def test_all_of_it(self, listener, call):
        response = listener.get(URL)
        data = body(response)
        assert response.status_code == 200
        assert data == call.recording.file.read_bytes()
        assert response["Content-Type"] == "audio/wav"
        assert response["Content-Length"] == str(len(data))
        assert response["Cache-Control"] == "private, no-store"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Accept-Ranges"] == "bytes"

    @pytest.mark.parametrize(
        ("start", "end"), [(0, 43), (10, 100), (40, 47), (44, 44), (70_000, 140_001)]
    )
    def test_a_part(self, listener, call, start, end):
        data = call.recording.file.read_bytes()
        response = listener.get(URL, headers={"Range": f"bytes={start}-{end}"})
        assert response.status_code == 206
        assert response["Content-Range"] == f"bytes {start}-{end}/{len(data)}"
        assert body(response) == data[start : end + 1]

    def test_nothing_there(self, listener, call):
        response = listener.get(URL, headers={"Range": "bytes=99999999-"})
        assert response.status_code == 416
        assert response["Content-Range"] == f"bytes */{call.recording.size_bytes}"

    def test_a_file_that_a_kill_cut_off_plays(self, listener, call):
        file = call.recording.file
        os.truncate(file, 44 + 6_403)
        data = body(listener.get(URL))
        assert parse(data).data_bytes == 6_400
        assert len(data) == 44 + 6_400

    @pytest.mark.parametrize("size_bytes", [0, 20, 44])
    def test_a_file_without_sound_is_an_empty_one(self, listener, call, size_bytes):
        os.truncate(call.recording.file, size_bytes)
        assert parse(body(listener.get(URL))).data_bytes == 0

    def test_a_file_that_is_gone_is_not_found(self, listener, call):
        call.recording.file.unlink()
        assert listener.get(URL).status_code == 404
        assert listener.get(URL.replace("audio", "peaks")).status_code == 404

    def test_a_row_never_leads_out_of_the_folder(self, listener, call, own_folders):
        (own_folders / "secret.wav").write_bytes(b"x" * 100)
        Recording.objects.update(path="../secret.wav")
        assert listener.get(URL).status_code == 404

    def test_one_listening_is_one_line_in_the_log(self, listener, call):
        for start in (0, 1_000, 5_000):
            listener.get(URL, headers={"Range": f"bytes={start}-"})
        entry = AuditEntry.objects.get()
        assert (entry.call_id, entry.action) == (call.pk, "listened")
        AuditEntry.objects.update(at="2026-01-01T00:00Z")
        listener.get(URL)
        assert AuditEntry.objects.count() == 2

    def test_peaks_are_for_listeners(self, listener, call):
        response = listener.get(URL.replace("audio", "peaks"))
        assert response["Content-Type"] == "application/octet-stream"
        assert len(response.content) == 27_400 // 20 * 4

    def test_a_stranger_is_sent_to_the_door(self, client, call):
        assert client.get(URL).status_code == 302


@pytest_asyncio.fixture
async def own_connection():
    """The framework's thread keeps its connection, which nobody but this test has it use."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
@pytest.mark.asyncio
async def test_it_streams_from_an_event_loop(own_folders, own_connection):
    call = await sync_to_async(demo_conversation)()
    user = await User.objects.acreate(username="boss", is_staff=True, is_superuser=True)
    client = AsyncClient()
    await client.aforce_login(user)
    response = await client.get(URL, headers={"Range": "bytes=100-"})
    assert response.is_async
    data = b"".join([chunk async for chunk in response.streaming_content])
    file = own_folders / "recordings" / f"de/{call.pk}.wav"
    assert data == file.read_bytes()[100:]
