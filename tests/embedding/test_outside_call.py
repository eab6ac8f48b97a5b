"""A call in a project outside the tree, served by the servers that docs/install.md names."""

import json
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from calls.domain.audio import AGENT

PAGE = (Path(__file__).parents[2] / "docs" / "install.md").read_text()
COMMANDS = PAGE.partition("<!-- serve -->\n```sh\n")[2].partition("```")[0].splitlines()
SERVERS = {command.split()[0]: command.replace("8000", "0").split() for command in COMMANDS}
PATIENCE_S = 40
HEADER = struct.Struct("<II")


@dataclass
class Served:
    port: int
    process: subprocess.Popen

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open(self, path: str, origin: str | None = None) -> ClientConnection:
        address = f"ws://127.0.0.1:{self.port}{path}"
        return connect(address, origin=origin or self.origin, compression=None)


@contextmanager
def served(project, words: list[str], log) -> Iterator[Served]:
    """The server as a process, on a port that the system picks."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=project.folder,
            env=project.environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Served(_port(process, log), process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            process.kill()


def _port(process: subprocess.Popen, log) -> int:
    give_up_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_s and process.poll() is None:
        if found := re.search(r"(?:address |http://)127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@dataclass
class Call:
    """A client that types, and keeps what it hears."""

    socket: ClientConnection
    messages: list[dict] = field(default_factory=list)
    sound: dict[int, bytes] = field(default_factory=dict)

    def start(self, **fields) -> dict:
        self.send(type="start", v=1, microphone=None, **fields)
        return self.until(lambda message: message["type"] == "ready")

    def send(self, **message) -> None:
        self.socket.send(json.dumps(message))

    def until(self, wanted) -> dict:
        """Take messages until this one has come."""
        while True:
            frame = self.socket.recv(timeout=PATIENCE_S)
            if isinstance(frame, bytes):
                response_id, _start_ms = HEADER.unpack_from(frame)
                self.sound[response_id] = self.sound.get(response_id, b"") + frame[HEADER.size :]
                continue
            message = json.loads(frame)
            self.messages.append(message)
            if wanted(message):
                return message

    def until_heard(self, text: str) -> dict:
        """The agent's item with this text, once all of it was heard."""

        def heard(message: dict) -> bool:
            item = message.get("item", {})
            return item.get("role") == "agent" and item["text"] == text

        return self.until(heard)["item"]


def on_record(project, ready: dict) -> dict:
    """What the database says of a call: why it ended, and what the agent said."""
    said = project.manage(
        "shell",
        "-c",
        "import json; from calls.models import Conversation as C;"
        f"c = C.objects.get(call_id='{ready['call_id']}');"
        "texts = list(c.items.filter(role='agent').order_by('item_id').values_list('text', flat=True));"
        "print(json.dumps({'reason': c.end_reason, 'agent': texts}))",
    )
    return json.loads(said.splitlines()[-1])


def test_the_page_names_both_servers():
    assert list(SERVERS) == ["daphne", "uvicorn"]


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def server(request, project, tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "server.log"
    with served(project, SERVERS[request.param], log) as running:
        yield running
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.mark.timeout(180)
def test_a_call_with_an_agent_in_code(server, project):
    with server.open("/ws/call/workshop/") as socket:
        call = Call(socket)
        ready = call.start(metadata={"page": "/repairs"})
        assert ready["agent"] == {"slug": "workshop", "name": "Workshop"}
        assert (ready["providers"]["llm"], ready["providers"]["tts"]) == ("code", "code")
        greeting = "Hello, this is the bicycle workshop. What is the number of your ticket?"
        call.until_heard(greeting)
        call.send(type="text", text="My number is 12.")
        answer = call.until_heard("It is ready. Anything else?")
        assert answer["metadata"] == {"looked_up": True}
        assert len(call.sound[answer["response_id"]]) == 5 * 2_400
        call.send(type="text", text="No.")
        end = call.until(lambda message: message["type"] == "end")
        assert end["reason"] == "agent_ended"
    assert [m for m in call.messages if m["type"] == "error"] == []
    tools = [m for m in call.messages if m["type"] == "tool"]
    assert [(m["name"], m["running"]) for m in tools] == [
        ("repair_status", True),
        ("repair_status", False),
    ]
    record = on_record(project, ready)
    assert record["reason"] == "agent_ended"
    assert record["agent"] == [
        greeting,
        "It is ready. Anything else?",
        "Thank you for calling. Goodbye!",
    ]


@pytest.mark.timeout(180)
def test_the_example_agent_writes_to_the_database_and_speaks_with_the_embedded_voice(
    server, project
):
    use = "from booking_agent.models import Appointment as A;"
    taken = "A(day='friday', time='9:00'), A(day='friday', time='11:30')"
    project.manage(
        "shell", "-c", f"{use} A.objects.all().delete(); A.objects.bulk_create([{taken}])"
    )
    with server.open("/ws/call/booking/") as socket:
        call = Call(socket)
        ready = call.start()
        assert (ready["providers"]["llm"], ready["providers"]["tts"]) == ("code", "espeak-ng")
        greeting = call.until_heard(
            "Hello, this is the practice. On which day would you like to come?"
        )
        assert len(call.sound[greeting["response_id"]]) > AGENT.bytes(2_000)
        call.send(type="text", text="Friday, please.")
        answer = call.until_heard("You can come on Friday at 15:00. Anything else?")
        assert answer["metadata"] == {"booked": {"day": "Friday", "time": "15:00"}}
        call.send(type="text", text="Friday again.")
        call.until_heard("Friday is full. Another day?")
        call.send(type="text", text="No, goodbye.")
        assert call.until(lambda message: message["type"] == "end")["reason"] == "agent_ended"
    written = project.manage("shell", "-c", f"{use} print(*A.objects.filter(time='15:00'))")
    assert "friday at 15:00" in written


@pytest.mark.timeout(180)
def test_a_page_and_its_answers(server):
    with urlopen(f"{server.origin}/call/workshop/", timeout=PATIENCE_S) as page:
        assert 'ws-path="/ws/call/workshop/"' in page.read().decode()
    with urlopen(f"{server.origin}/livez", timeout=PATIENCE_S) as answer:
        assert json.load(answer) == {"alive": True}


@pytest.mark.timeout(180)
def test_pages_of_others_are_kept_out(server):
    with pytest.raises(InvalidStatus):
        server.open("/ws/call/workshop/", origin="https://elsewhere.example").close()


@pytest.mark.timeout(180)
def test_a_server_that_ends_ends_its_calls_well(project, tmp_path):
    log = tmp_path / "server.log"
    with (
        served(project, SERVERS["uvicorn"], log) as running,
        running.open("/ws/call/workshop/") as socket,
    ):
        call = Call(socket)
        ready = call.start()
        call.until_heard("Hello, this is the bicycle workshop. What is the number of your ticket?")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) in (0, -signal.SIGTERM)
    assert on_record(project, ready)["reason"] == "restarted"
