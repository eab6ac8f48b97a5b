"""Which process runs a call, said so that a later one can tell whether it is still alive."""

import os
import socket
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_START_FIELD = 19
"""Of /proc/<pid>/stat behind the name of the program: when it started, in clock ticks."""


@cache
def owner() -> str:
    """This process: `<machine>:<pid>:<start>`.

    `machine` differs between hosts, between boots of one host, and between containers, so that
    nobody takes another's process number for its own.
    """
    return f"{_machine()}:{os.getpid()}:{_started(os.getpid())}"


def owner_dead(name: str) -> bool:
    """Whether that process is certainly gone. Of another machine nothing is certain."""
    machine, _, rest = name.rpartition(":")[0].rpartition(":")[0], "", name.split(":")[-2:]
    if machine != _machine() or not rest[0].isdigit():
        return False
    return _started(int(rest[0])) != rest[1]


@cache
def _machine() -> str:
    host = socket.gethostname().replace(":", "-")
    return f"{host}/{_read('sys/kernel/random/boot_id')[:8]}/{_namespace()}"


def _namespace() -> str:
    try:
        return (_PROC / "self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return "0"


def _started(pid: int) -> str:
    """When the process started; empty: there is no such process."""
    if not _PROC.joinpath("self/stat").exists():
        return "0" if _alive(pid) else ""
    stat = _read(f"{pid}/stat").rpartition(")")[2].split()
    return stat[_START_FIELD] if len(stat) > _START_FIELD and stat[0] != "Z" else ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(name: str) -> str:
    try:
        return (_PROC / name).read_text()
    except OSError:
        return ""
