"""What a test may need of the machine, and how a machine gets it."""

import os
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/15")
INSISTS = os.environ.get("CI", "").lower() in ("1", "true", "yes")
"""Whether a test fails, instead of being skipped, when the machine lacks what it needs."""

UNHURRIED = ("nice", "-n", "10") if shutil.which("nice") else ()
"""In front of programs that no clock waits for: they give way to those that talk in real time."""

LIVE = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ELEVENLABS_API_KEY", "ELEVENLABS_BASE_URL")
"""What tests of the real services take from the environment; the addresses may be left out."""

_HIDDEN = Path(__file__).parent / "doubles" / "not_installed"
_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_CONNECT_TIMEOUT_S = 2
_OURS = ("DJANGO_SETTINGS_MODULE", "CI", "PYTEST_CURRENT_TEST")


def machine_environment(**changes: str) -> dict[str, str]:
    """The environment for a program that a test starts: the machine's, without this project's."""
    from voiceapp.environment import NAMES

    ours = {*NAMES, *(f"{name}_FILE" for name in NAMES), *_OURS}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"ENV_FILE": os.devnull} | changes


def as_deployed(**changes: str) -> dict[str, str]:
    """The same for the project's own programs, without packages that only the tests bring.

    Libraries load such a package where they find it, for a quarter of a second of each start.
    """
    return machine_environment(PYTHONPATH=str(_HIDDEN)) | changes


def live_variables() -> dict[str, str]:
    """Those of `LIVE` that are named; `manage.py test` keeps them for us under `LIVE_<name>`.

    Keys are masked where a failing test shows them.
    """
    from voiceapp.environment import Secret

    found = {name: Secret(_named(f"LIVE_{name}") or _named(name)) for name in LIVE}
    return {name: value for name, value in found.items() if value}


def _named(name: str) -> str:
    """A variable, or what is in the file that `<name>_FILE` names."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return os.environ.get(name, "").strip()


def chromium_path() -> str | None:
    """The system's Chromium; the variable CHROMIUM names another."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)


def _postgres() -> bool:
    import psycopg

    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=_CONNECT_TIMEOUT_S).close()
    except psycopg.OperationalError:
        return False
    return True


def _can_run_postgres() -> bool:
    from tests.machines import can_run_postgres

    return can_run_postgres()


def _redis() -> bool:
    address = urlsplit(REDIS_URL)
    host, port = address.hostname or "127.0.0.1", address.port or 6379
    try:
        with socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S) as connection:
            connection.sendall(b"PING\r\n")
            return bool(connection.recv(1))
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Need:
    """Something that not every machine has."""

    present: Callable[[], bool]
    remedy: str


NEEDS: Mapping[str, Need] = {
    "browser": Need(
        lambda: chromium_path() is not None,
        "Chromium is not here: apt install chromium, or name one in CHROMIUM",
    ),
    "postgres": Need(
        _postgres,
        "PostgreSQL is not here: start one and name it in TEST_POSTGRES_URL",
    ),
    "redis": Need(
        _redis,
        "Redis is not here: start one on 127.0.0.1:6379, or name it in TEST_REDIS_URL",
    ),
    "own_postgres": Need(
        _can_run_postgres,
        "PostgreSQL's own programs are not here: apt install postgresql",
    ),
    "own_redis": Need(
        lambda: shutil.which("redis-server") is not None,
        "redis-server is not here: apt install redis-server",
    ),
    "node": Need(
        lambda: shutil.which("node") is not None,
        "Node.js is not here: apt install nodejs npm",
    ),
    "nginx": Need(
        lambda: bool(shutil.which("nginx") or shutil.which("/usr/sbin/nginx")),
        "nginx is not here: apt install nginx-light",
    ),
    "interop_heavy": Need(
        lambda: INSISTS or bool(os.environ.get("INTEROP_HEAVY")),
        "These install most of a gigabyte: INTEROP_HEAVY=1 has them run",
    ),
    "interop": Need(
        lambda: all(map(shutil.which, ("node", "npm"))),
        "Node.js or npm is not here: apt install nodejs npm",
    ),
}


@cache
def missing(name: str) -> str | None:
    """How to get what the marker `name` stands for; nothing when it is here."""
    need = NEEDS[name]
    return None if need.present() else need.remedy
