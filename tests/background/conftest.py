"""Real workers on the tests' own database, and conversations that want something done."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from calls.models import Conversation, ConversationStatus, Summary, Webhook
from tests.doubles.providers.base import ProviderDouble, Stream, serving_in_thread, whole
from tests.doubles.providers.openai_http import OpenAIHttpDouble
from tests.needs import as_deployed
from tests.servers import ROOT

LEASE_S = 4
"""Short, and long enough that a busy machine renews it in time."""
_POLL_S = 0.02


def until(condition: Callable[[], object], timeout_s: float = 30, *, why: Callable[[], str] = str):
    """Wait for it to come true; what it is then."""
    give_up_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < give_up_s, f"it never came to that {why()}"
        time.sleep(_POLL_S)
    return found


def database_url() -> str:
    """Of the database that the test uses."""
    it = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{it['NAME']}"
    return f"postgresql://{it['USER']}@{it['HOST']}:{it['PORT'] or 5432}/{it['NAME']}"


class WorkerProcess:
    """`manage.py worker`, as a process of its own."""

    def __init__(self, place: Path, words: tuple[str, ...], environment: dict[str, str]) -> None:
        place.mkdir(exist_ok=True)
        self._log_file = place / f"worker{len(list(place.glob('worker*.log')))}.log"
        with self._log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "worker", *words],
                cwd=ROOT,
                env=as_deployed(
                    VAR_DIR=str(place),
                    NO_BOOTSTRAP="1",
                    PYTHONUNBUFFERED="1",
                    BACKGROUND="worker",
                    LEASE_SECONDS=str(LEASE_S),
                    DATABASE_URL=database_url(),
                    **environment,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def kill(self) -> None:
        """End it without a chance to do anything."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)

    def terminate(self, timeout_s: float = 20) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@pytest.fixture
def start_worker(transactional_db, tmp_path) -> Iterator[Callable[..., WorkerProcess]]:
    """Start workers: `start_worker("--once", NAME="value")`. All are killed at the end."""
    started: list[WorkerProcess] = []

    def start(*words: str, **environment: str) -> WorkerProcess:
        started.append(WorkerProcess(tmp_path / "var", words, environment))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()
    for worker in started:
        assert "Traceback" not in worker.log(), worker.log()


class Receiver(ProviderDouble):
    """A server that webhooks go to."""

    def routes(self):
        from aiohttp import web

        return [web.post("/hook", self.answering(self._take))]

    async def _take(self, stream: Stream):
        await stream.request.read()
        return whole(200, {})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    double = Receiver(key="")
    with serving_in_thread(double):
        yield double


@pytest.fixture
def model() -> Iterator[OpenAIHttpDouble]:
    double = OpenAIHttpDouble()
    with serving_in_thread(double):
        yield double


@pytest.fixture
def ended(transactional_db) -> Callable[..., Conversation]:
    """Make a conversation that is over and wants a summary."""

    def make(call_id: str = "call-1", *, summarized: bool = True) -> Conversation:
        conversation = Conversation.objects.create(
            call_id=call_id,
            agent_slug="demo",
            protocol="browser",
            language="en",
            status=ConversationStatus.ENDED,
            end_reason="agent_ended",
            ended_at="2026-11-21T10:00:00Z",
            duration_ms=1_000,
        )
        conversation.items.create(
            item_id=1, turn=1, role="user", status="complete", source="voice", text="Good day."
        )
        if summarized:
            Summary.objects.create(conversation=conversation)
        return conversation

    return make


@pytest.fixture
def hook(transactional_db, receiver) -> Webhook:
    return Webhook.objects.create(
        url=f"{receiver.origin}/hook", events=["call.ended", "summary.ready"]
    )
