"""Why setting up failed, in one line for the person at the terminal. Standard library only."""

import re
import sys
import tempfile
from pathlib import Path

MEGABYTE = 1024 * 1024
NEEDED_BYTES = 600 * MEGABYTE
_NO_SPACE = ("no space left", "disk quota exceeded", "errno 28")
_NO_NETWORK = (
    "failed to establish a new connection",
    "temporary failure in name resolution",
    "connection refused",
    "connection error",
    "connectionerror",
    "connection broken",
    "connecttimeout",
    "readtimeout",
    "timed out",
    "network is unreachable",
    "proxyerror",
    "certificate_verify_failed",
    "remotedisconnected",
)
_NOT_WHAT_WAS_PINNED = "do not match the hashes"


class SetupError(Exception):
    """Setting up failed; the message is one line for the person at the terminal."""


def explain_os_error(error: OSError, place: Path) -> str:
    if any(sign in str(error).lower() for sign in _NO_SPACE):
        return _no_space(place)
    return f"Cannot set up {place}: {error.strerror or error}."


def _no_space(place: Path) -> str:
    return (
        f"The disk is full: packages need some {NEEDED_BYTES // MEGABYTE} MB in {place.parent} "
        f"and some in {tempfile.gettempdir()}. Nothing was kept."
    )


def _swapped(output: str) -> str:
    """The packages that pip lists below its complaint, each as `name==1.0 from address:`."""
    listed = output[output.lower().index(_NOT_WHAT_WAS_PINNED) :]
    packages = re.findall(r"^    (\S+)(?: .*)?:$", listed, re.MULTILINE)
    return (
        f"Refused {', '.join(packages) or 'a package'}: what was downloaded does not match its "
        "hashes in the requirements. It may have been tampered with."
    )


def explain(output: str, place: Path) -> str:
    """What pip said, in one line."""
    lowered = output.lower()
    if any(sign in lowered for sign in _NO_SPACE):
        return _no_space(place)
    if _NOT_WHAT_WAS_PINNED in lowered:
        return _swapped(output)
    if any(sign in lowered for sign in _NO_NETWORK):
        return (
            "The packages could not be downloaded: no connection to the package index. "
            "Check the network or the proxy, then run the same command again."
        )
    errors = [line for line in output.splitlines() if "ERROR" in line] or output.splitlines()[-1:]
    version = ".".join(map(str, sys.version_info[:2]))
    missing = next((line for line in errors if "No matching distribution" in line), None)
    if missing is not None:
        package = missing.rpartition(" ")[2]
        return f"There is no {package} for Python {version} on this machine: try 3.11 to 3.13."
    return f"Installing the packages failed: {errors[0] if errors else 'pip said nothing'}"
