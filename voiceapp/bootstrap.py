"""Stands between `manage.py` and Django. Standard library only: nothing may be installed yet.

`up` and `test` make sure of a virtual environment of their own, `.venv`, and go on inside it. Every
other word is plain Django in whatever Python runs it, and so are these two with `NO_BOOTSTRAP=1` or
where all that they need is installed.
"""

import gc
import importlib.util
import os
import re
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NoReturn

from voiceapp.complaints import SetupError
from voiceapp.installing import Installation

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000

USUAL_THRESHOLDS = gc.get_threshold()
LOADING_THRESHOLD = 100_000
"""So many new objects before anybody looks for garbage; a server goes back to the usual."""

_NEEDS = {"up": ("requirements.txt",), "test": ("requirements.txt", "requirements-dev.txt")}
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)\s*(?:;\s*(.+))?$")
_HASH = re.compile(r"\s*(?:\\\n)?\s*--hash=\S+")
_MARKER = re.compile(r"(python_version|sys_platform) (==|<|>=) \"([^\"]+)\"$")


def run(argv: list[str]) -> None:
    """Run the management command that `argv` names, `argv[0]` being `manage.py` itself."""
    command = argv[1] if len(argv) > 1 else "help"
    if command in _NEEDS and not os.environ.get("NO_BOOTSTRAP"):
        try:
            _ensure(command, argv)
        except SetupError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            sys.exit("\nStopped. Nothing was left half-installed.")
    if importlib.util.find_spec("django") is None:
        sys.exit(_no_django(argv))
    if command == "test":
        _run_tests(argv[2:])
    _run_django(argv)


def _ensure(command: str, argv: list[str]) -> None:
    """Return in a Python that has everything; that may be another process than the caller's."""
    installation = Installation(ROOT, [ROOT / name for name in _NEEDS[command]])
    inside = Path(sys.prefix).resolve() == installation.place
    if not inside and all(_satisfied(pins) for pins in installation.requirements):
        return
    if not installation.complete():
        if command == "up":
            _refuse_busy_port(argv)
        installation.complete_it()
        if inside:
            _go_on_in(installation.python, argv)
    if not inside:
        _go_on_in(installation.python, argv)


def _go_on_in(python: Path, argv: list[str]) -> NoReturn:
    arguments = [str(python), *argv]
    if os.name == "posix":
        os.execv(python, arguments)  # noqa: S606 - no shell is wanted
    sys.exit(subprocess.call(arguments))


def _satisfied(requirements: Path) -> bool:
    """Whether this Python has exactly what the file pins."""
    for line in _HASH.sub("", requirements.read_text(encoding="utf-8")).splitlines():
        if not line.strip() or line.startswith(("#", "-")):
            continue
        pin = _PIN.match(line.strip())
        if pin is None or (_applies(pin[3] or "") and _installed(pin[1]) != pin[2]):
            return False
    return True


def _applies(marker: str) -> bool:
    """Whether a requirement with this environment marker is meant for this Python."""
    if not marker:
        return True
    known = _MARKER.match(marker)
    if known is None:
        return True
    name, operator, wanted = known.groups()
    if name == "sys_platform":
        return sys.platform == wanted
    here, there = sys.version_info[:2], tuple(int(part) for part in wanted.split("."))
    return {"==": here == there, "<": here < there, ">=": here >= there}[operator]


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _refuse_busy_port(argv: list[str]) -> None:
    """Say so before the long work rather than after it; the server itself makes sure."""
    host, port = _option(argv, "--host", DEFAULT_HOST), _option(argv, "--port", str(DEFAULT_PORT))
    if not port.isdecimal() or port == "0":
        return
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise SetupError(port_refused(host, int(port), error)) from error


def port_refused(host: str, port: int, error: OSError) -> str:
    """Why the server cannot listen there, in one line."""
    return (
        f"Cannot listen on {host} port {port} ({error.strerror or error}). "
        f"Choose another: python3 manage.py up --port {port + 1 if port < 65_535 else 8001}"
    )


def _option(argv: list[str], name: str, default: str) -> str:
    for position, word in enumerate(argv):
        if word == name and position + 1 < len(argv):
            return argv[position + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return default


def _no_django(argv: list[str]) -> str:
    python = Installation(ROOT, []).python
    if python.exists():
        shown = python.relative_to(ROOT)
        return f"Django is not installed for this Python. Use: {shown} {' '.join(argv)}"
    return (
        "Django is not installed for this Python. `python3 manage.py up` sets everything up, "
        "or: pip install -r requirements.txt"
    )


def _run_django(argv: list[str]) -> None:
    # Modules are no garbage: to look for some while they load takes a tenth of the start.
    gc.set_threshold(LOADING_THRESHOLD)
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(argv)
    except ImproperlyConfigured as error:
        if "--traceback" in argv:
            raise
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _run_tests(arguments: list[str]) -> NoReturn:
    if importlib.util.find_spec("pytest") is None:
        sys.exit("pytest is not installed here: pip install -r requirements-dev.txt")
    import pytest

    _forget_this_installation()
    os.chdir(ROOT)
    sys.exit(pytest.main(arguments))


def _forget_this_installation() -> None:
    """The suite tests the project, not the database and the keys that somebody runs it with.

    Tests of the real services, which run only when they are asked for, find theirs as `LIVE_...`.
    """
    from voiceapp.environment import NAMES

    for name in NAMES:
        for given in (name, f"{name}_FILE"):
            value = os.environ.pop(given, None)
            if value and name.startswith(("OPENAI_", "ELEVENLABS_")):
                os.environ[f"LIVE_{given}"] = value
    os.environ["ENV_FILE"] = os.devnull
