"""Clients from PyPI that our own packages must not meet: each in an environment of its own.

A client has a folder with `requirements.txt`, every version pinned, and scripts. Nothing is
installed into the repository; an environment is made once a machine.
"""

import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

from tests.interop.node import INSTALL_S, Finished, finished, kept, lacking, ran
from tests.needs import machine_environment


@cache
def python_with(folder: Path) -> Path:
    """The interpreter of an environment with what `requirements.txt` in `folder` names.

    Skips the test when that cannot be had, or fails it where nothing may be missing.
    """
    wanted = folder / "requirements.txt"
    key = wanted.read_bytes() + sys.version.encode()
    with kept(folder.name, key) as (place, complete):
        python = place / "bin" / "python"
        if not complete:
            venv.create(place)
            _install(python, wanted)
    return python


def _install(python: Path, wanted: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--python", python, "install"]
    done = subprocess.run(
        [*pip, "--quiet", "--no-input", "--no-compile", "--no-deps", "-r", wanted],
        env=machine_environment(PIP_DISABLE_PIP_VERSION_CHECK="1"),
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    if done.returncode:
        lacking(f"pip could not install {wanted.parent.name}: {done.stderr.splitlines()[-3:]}")


def run_python(script: Path, *args: object, timeout_s: float = 60, **environment: str) -> Finished:
    """Run a script of a client's folder to its end, in that folder's environment.

    Raises:
        AssertionError: it failed, or took longer; the message holds what it printed.
    """
    command = [str(python_with(script.parent)), str(script), *map(str, args)]
    return finished(script, ran(command, script.parent, timeout_s, environment))
