"""A real server for the clients of one file."""

from collections.abc import Callable, Iterator

import pytest

from tests.interop.calls import Records
from tests.server.callers import kept_server
from tests.server.programs import manage as command
from tests.servers import Installation, RealServer


@pytest.fixture(scope="module")
def server(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealServer]:
    """One server for all tests of a file; what one does must not matter to the next."""
    with kept_server(installation, tmp_path_factory.mktemp("interop") / "var") as started:
        yield started


@pytest.fixture
def records(server: RealServer) -> Records:
    """The calls that this test makes."""
    return Records(server)


@pytest.fixture(scope="session")
def manage() -> Callable[..., str]:
    """Run `manage.py` on a server's data: `manage(server, "api_key", "create", ...)`."""

    def run(server: RealServer, *words: str) -> str:
        done = command(*words, var_dir=server.var_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
