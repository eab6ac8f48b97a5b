"""A deployment on this machine: nginx, two server processes, PostgreSQL and Redis."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import needs
from tests.deployment.proxy import Proxy
from tests.servers import Installation, RealServer

NAME = "calls.example"
PRODUCTION = {
    "ALLOWED_HOSTS": f"{NAME},127.0.0.1",
    "SECRET_KEY": "k" * 20 + "0123456789abcdefghijklmnopqrstuvwxyz",
    "TRUST_PROXY": "true",
    "TRUSTED_PROXIES": "127.0.0.1/32",
    "PUBLIC_URL": f"https://{NAME}",
    "METRICS_TOKEN": "metrics-token",
}


class Deployment:
    """Two processes that share a database, files and Redis, and the proxy before them."""

    def __init__(self, place: Path, installation: Installation, **variables: str) -> None:
        self.place = place
        self._static = {"STATIC_ROOT": str(installation.template / "static")}
        self._database = f"voiceapp_{token_hex(4)}"
        self.database_url = (
            urlsplit(needs.POSTGRES_URL)._replace(path=f"/{self._database}").geturl()
        )
        _administer(f'CREATE DATABASE "{self._database}"')
        self.started: list[RealServer] = []
        self.servers = [self.serve("up"), self.serve("serve")]
        ports = [server.port for server in self.servers]
        self.proxy = Proxy(ports, **variables)

    def serve(self, command: str) -> RealServer:
        """One more process on the same database and files."""
        (self.place / "var").mkdir(exist_ok=True)
        environment = {
            **PRODUCTION,
            **self._static,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": needs.REDIS_URL,
        }
        self.started.append(RealServer(self.place / "var", (command,), environment))
        return self.started[-1]

    def rows(self, query: str, *values: object) -> list[tuple]:
        """What the database answers."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query, values).fetchall()

    def close(self) -> None:
        self.proxy.stop()
        for server in self.started:
            server.kill()
        with suppress(psycopg.Error):
            _administer(f'DROP DATABASE "{self._database}" WITH (FORCE)')


def _administer(statement: str) -> None:
    with psycopg.connect(needs.POSTGRES_URL, autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture(scope="module")
def deployment(installation: Installation, tmp_path_factory) -> Iterator[Deployment]:
    """One for all tests of a file."""
    place = tmp_path_factory.mktemp("deployment")
    made = Deployment(place, installation, HEADER_S="5", BODY_S="1", IDLE_S="1")
    try:
        yield made
    finally:
        made.close()
    for server in made.started:
        assert "Traceback" not in server.log(), server.log()
