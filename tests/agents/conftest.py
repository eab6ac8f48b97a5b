"""What tests of agents in code stand on: an event loop that is never held, a call's facts."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from calls.ports.tools import CallInfo


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Raise where a coroutine sleeps, reads a file or waits for a socket without awaiting."""
    with blockbuster_ctx():
        yield


@pytest.fixture
def info() -> CallInfo:
    return CallInfo("call-1", "booking", "en", {"page": "/pricing"})
