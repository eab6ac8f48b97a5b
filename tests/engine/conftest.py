"""Nothing in the engine may hold the event loop."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Raise where a coroutine sleeps, reads a file or waits for a socket without awaiting."""
    with blockbuster_ctx():
        yield
