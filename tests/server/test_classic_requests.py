"""AVR's interfaces for single stages, on the real server: requests of that form over real sockets."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.interop.calls import pieces, silence, speech
from tests.needs import as_deployed
from tests.server.callers import kept_server
from tests.server.stored import Stored
from tests.server.test_calls_conversation import level
from tests.servers import ROOT

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

HEARD = "/speech-to-text-stream"
RATE_HZ = 8_000
LINE = [
    silence(400, RATE_HZ),
    speech("callers/hours", RATE_HZ),
    silence(1_500, RATE_HZ),
    speech("callers/friday", RATE_HZ),
    silence(1_500, RATE_HZ),
]


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    place = tmp_path_factory.mktemp("classic") / "var"
    with kept_server(installation, place, AVR_HTTP="1", AVR_SECRET="open sesame") as started:
        yield started


@asynccontextmanager
async def client_of(server, secret="open sesame"):
    async with httpx.AsyncClient(
        base_url=server.url, params={"secret": secret}, timeout=30, trust_env=False
    ) as client:
        yield client


class Line:
    """The core's part of a call: sends sound as it is spoken, and reads while it sends."""

    def __init__(self, port, query="secret=open%20sesame"):
        self.port = port
        self.query = query
        self.began_s = time.monotonic()
        self.answered_s = None
        self.utterances = []
        self.head = b""

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(
            f"POST {HEARD}?{self.query} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            "X-UUID: u1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        self.reading = asyncio.get_running_loop().create_task(self._read())
        return self

    async def __aexit__(self, *exc):
        self.reading.cancel()
        self.writer.close()

    async def says(self, pcm, size=320):
        for piece in pieces(pcm, size):
            self.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await asyncio.sleep(size / (RATE_HZ * 2))

    async def is_silent_until_written(self, count):
        give_up_s = time.monotonic() + 20
        while len(self.utterances) < count:
            assert time.monotonic() < give_up_s, self.utterances
            await self.says(silence(100, RATE_HZ))

    async def ends(self):
        self.writer.write(b"0\r\n\r\n")
        await asyncio.wait_for(self.reading, 20)

    async def _read(self):
        self.head = await self.reader.readuntil(b"\r\n\r\n")
        self.answered_s = time.monotonic()
        while size := int(await self.reader.readline(), 16):
            self.utterances.append((await self.reader.readexactly(size + 2))[:-2].decode())


async def test_each_utterance_is_written_while_the_call_goes_on(server):
    async with Line(server.port) as line:
        await line.says(LINE[0])
        assert line.answered_s - line.began_s < 1, "the answer begins at once"
        assert b"200" in line.head
        assert b"text/event-stream" in line.head
        await line.says(LINE[1])
        await line.is_silent_until_written(1)
        await line.says(LINE[3])
        await line.is_silent_until_written(2)
        await line.ends()
    first, second = line.utterances
    assert "opening hours" in first
    assert "friday" in second


async def test_sound_in_odd_pieces_and_an_end_in_mid_speech(server):
    async with Line(server.port) as line:
        await line.says(LINE[0] + LINE[1], size=333)
        await line.ends()
    (only,) = line.utterances
    assert "opening hours" in only


async def test_a_line_that_sends_nothing_any_more_has_fallen_silent(server):
    async with Line(server.port) as line:
        await line.says(LINE[0] + LINE[1])
        give_up_s = time.monotonic() + 10
        while not line.utterances:
            assert time.monotonic() < give_up_s
            await asyncio.sleep(0.05)
        await line.ends()
    assert len(line.utterances) == 1


async def test_a_file_at_once_is_cut_in_the_same_places(server):
    async with client_of(server) as client:
        answer = await client.post(HEARD, content=b"".join(LINE))
    assert "opening hours" in answer.text
    assert "friday" in answer.text


async def test_who_is_refused_gets_its_answer_before_the_body_is_sent(server):
    async with Line(server.port, "secret=wrong") as line:
        await line.says(silence(200, RATE_HZ))
        give_up_s = time.monotonic() + 5
        while line.answered_s is None:
            assert time.monotonic() < give_up_s
            await asyncio.sleep(0.01)
        assert b"403" in line.head
        assert b"connection: close" in line.head.lower()


async def test_whoever_goes_leaves_nothing_behind(server):
    for _ in range(5):
        async with Line(server.port) as line:
            await line.says(LINE[0] + LINE[1][:8_000])
            line.writer.transport.abort()
    async with client_of(server) as client:
        answer = await client.post(HEARD, content=b"".join(LINE[:3]))
    assert "opening hours" in answer.text


async def test_the_model_answers_in_objects_without_anything_between_them(server):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good morning."},
        {"role": "user", "content": "What are your opening hours?"},
    ]
    async with client_of(server) as client:
        answer = await client.post("/prompt-stream", json={"uuid": "u1", "messages": messages})
    assert answer.headers["content-type"] == "text/event-stream"
    decoder, text, said = json.JSONDecoder(), answer.text, ""
    while text:
        piece, end = decoder.raw_decode(text)
        assert piece.keys() == {"type", "content"}
        assert piece["type"] == "text"
        said, text = said + piece["content"], text[end:]
    assert "nine to five" in said


async def test_one_connector_sends_a_single_message(server):
    async with client_of(server) as client:
        body = {"uuid": "u1", "message": "What are your opening hours?"}
        assert "nine to five" in (await client.post("/prompt-stream", json=body)).text


async def test_a_text_becomes_sound_of_a_line(server):
    async with client_of(server) as client:
        body = {"text": "**Good morning.** How can I help you?"}
        answer = await client.post("/text-to-speech-stream", json=body)
        short = await client.post("/text-to-speech-stream", json={"text": "Good morning."})
    assert answer.headers["content-type"] == "audio/l16"
    assert len(answer.content) % 2 == 0
    assert 1 < len(short.content) / (RATE_HZ * 2) + 0.5 < len(answer.content) / (RATE_HZ * 2)
    assert level(answer.content) > 500


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/prompt-stream", {"uuid": "u1"}, 400, "Messages is required"),
        ("/prompt-stream", {"messages": []}, 400, "Messages is required"),
        ("/prompt-stream", {"messages": "Hello"}, 400, "Messages is required"),
        ("/prompt-stream", {"messages": [{"role": "system", "content": "x"}]}, 400, "Messages is"),
        ("/prompt-stream", {"messages": [{"role": "tool", "content": "x"}]}, 400, "known role"),
        ("/prompt-stream", {"messages": [{"role": [], "content": "x"}]}, 400, "known role"),
        ("/prompt-stream", {"messages": [{"role": "user", "content": 7}]}, 400, "known role"),
        ("/prompt-stream", {"messages": [7]}, 400, "known role"),
        ("/prompt-stream", ["x"], 400, "not a JSON object"),
        ("/prompt-stream", {"message": "x" * 300_000}, 413, "too large"),
        ("/text-to-speech-stream", {}, 400, "Text is required"),
        ("/text-to-speech-stream", {"text": " "}, 400, "Text is required"),
        ("/text-to-speech-stream", {"text": "x" * 5_001}, 400, "Text is required"),
    ],
)
async def test_what_cannot_be_served_is_told(server, path, body, status, message):
    async with client_of(server) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == status
    assert message in answer.json()["message"]


async def test_doors(server):
    async with client_of(server) as client:
        assert (await client.get(HEARD)).status_code == 405
        assert (await client.post("/prompt-stream", content=b"[[[")).status_code == 400
        stranger = {"Origin": "https://evil.example"}
        asked = await client.post("/prompt-stream", json={"message": "x"}, headers=stranger)
        assert asked.status_code == 403
        nobody = {"agent": "nobody"}
        assert (await client.post("/prompt-stream", json={}, params=nobody)).status_code == 404
    async with client_of(server, "wrong") as client:
        assert (await client.post("/prompt-stream", json={"message": "x"})).status_code == 403


@pytest.fixture
def uvicorn_port(installation, tmp_path):
    shutil.copytree(installation.template, tmp_path / "var")
    words = ("-m", "uvicorn", "--port", "0", "voiceapp.asgi:application")
    log_file = tmp_path / "uvicorn.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=as_deployed(VAR_DIR=str(tmp_path / "var"), AVR_HTTP="1"),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    give_up_s = time.monotonic() + 40
    while not (found := re.search(r"running on http://127.0.0.1:(\d+)", log_file.read_text())):
        assert time.monotonic() < give_up_s, log_file.read_text()
        time.sleep(0.05)
    yield int(found[1])
    process.kill()
    process.wait(10)
    assert "Traceback" not in log_file.read_text()


async def test_uvicorn_hands_the_sound_on_as_well(uvicorn_port):
    async with Line(uvicorn_port, "") as line:
        await line.says(LINE[0])
        assert line.answered_s - line.began_s < 2
        await line.says(LINE[1])
        await line.is_silent_until_written(1)
        await line.ends()
    assert "opening hours" in line.utterances[0]


async def test_requests_leave_no_conversation(server):
    async with client_of(server) as client:
        await client.post("/prompt-stream", json={"message": "Hello"})
    assert Stored(server.var_dir).rows("SELECT * FROM calls_conversation") == []


async def test_a_server_that_ends_lets_go_of_a_line(start_server):
    server = start_server(AVR_HTTP="1")
    async with Line(server.port, "") as line:
        async with asyncio.timeout(20):
            while line.answered_s is None:
                await line.says(silence(100, RATE_HZ))
        assert await asyncio.to_thread(server.terminate) == 0


async def test_without_the_setting_there_is_nothing(start_server):
    server = start_server()
    async with client_of(server) as client:
        for path in (HEARD, "/prompt-stream", "/text-to-speech-stream"):
            assert (await client.post(path, content=b"{}")).status_code == 404
        assert (await client.post(HEARD, content=bytes(5_000_000))).status_code == 413
