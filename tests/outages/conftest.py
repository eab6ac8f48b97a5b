"""Servers on a PostgreSQL and a Redis of their own, and a model whose requests are counted."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from typing_extensions import override

from tests.doubles.providers.base import serving_in_thread
from tests.doubles.providers.openai_answers import Asked, Reply
from tests.doubles.providers.openai_events import Writing
from tests.doubles.providers.openai_http import OpenAIHttpDouble
from tests.machines import OwnPostgres, OwnRedis
from tests.server.programs import manage
from tests.server.stored import Stored
from tests.servers import Installation, RealServer


class Model(OpenAIHttpDouble):
    """Answers those questions that it was told of, however often each is asked.

    Summaries of calls that have ended ask the same model at any time: an answer belongs to its
    question, not to the next request.

    Attributes:
        told: what it says, by the caller's words.
        streamed: so many requests were made for callers; summaries come in one piece.
    """

    def __init__(self) -> None:
        super().__init__(key="")
        self.told: dict[str, Reply] = {}
        self.streamed = 0

    @override
    def _writing(self, body: Mapping[str, Any], asked: Asked) -> Writing:
        self.streamed += bool(body.get("stream"))
        writing = super()._writing(body, asked)
        return replace(writing, reply=self.told.get(asked.said, writing.reply))


DATABASE = "calls"
MODEL = "gpt-4.1"


class StoredInPostgres(Stored):
    """What a server has on the record, in PostgreSQL."""

    def __init__(self, var_dir: Path, url: str) -> None:
        super().__init__(var_dir)
        self._url = url

    @override
    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self._url, row_factory=dict_row) as connection:
            return connection.execute(query.replace("?", "%s"), values).fetchall()


@dataclass(frozen=True)
class Place:
    """An installation whose machines can be taken away."""

    installation: Installation
    postgres: OwnPostgres
    redis: OwnRedis
    model: Model
    folder: Path

    @property
    def url(self) -> str:
        return self.postgres.url(DATABASE)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self.url,
            "REDIS_URL": self.redis.url,
            "SECRET_KEY": "the same for all processes, and only for these tests",
            "LLM_BASE_URL": self.model.base_url,
            "LLM_MODEL": MODEL,
            "SPEECH_WORKERS": "1",
        }

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement).fetchall()

    def stored(self, var_dir: Path) -> StoredInPostgres:
        return StoredInPostgres(var_dir, self.url)

    def start(self, name: str, **environment: str) -> RealServer:
        return self.installation.start(self.folder / name, self.environment | environment)


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    with closing(OwnPostgres()) as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[OwnRedis]:
    with closing(OwnRedis()) as server:
        yield server


@pytest.fixture(scope="module")
def place(
    installation: Installation,
    postgres: OwnPostgres,
    redis: OwnRedis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    model = Model()
    folder = tmp_path_factory.mktemp("outages")
    postgres.execute(f"CREATE DATABASE {DATABASE}")
    with serving_in_thread(model):
        made = Place(installation, postgres, redis, model, folder)
        done = manage("shell", "-v0", "-c", PREPARED, var_dir=folder, **made.environment)
        assert done.returncode == 0, done.stderr
        yield made


PREPARED = """
from django.contrib.auth import get_user_model
from django.core.management import call_command
from calls.store.agents import demo_agent_ensure
call_command("migrate", verbosity=0)
demo_agent_ensure()
get_user_model().objects.create_superuser("admin", password="admin")
"""


@pytest.fixture(scope="module")
def start_here(place: Place) -> Iterator[Callable[..., RealServer]]:
    """Start servers for several tests: `start_here("name", NAME="value")`."""
    started: list[RealServer] = []
    with ExitStack() as stack:

        def start(name: str, **environment: str) -> RealServer:
            started.append(place.start(name, **environment))
            stack.callback(started[-1].kill)
            return started[-1]

        yield start
    for server in started:
        assert "Traceback" not in server.log(), server.log()
