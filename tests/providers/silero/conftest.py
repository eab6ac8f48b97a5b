"""The model is loaded once, and nothing here may hold the event loop."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

from calls.providers.silero.model import SileroNetwork


@pytest.fixture(scope="session")
def silero() -> SileroNetwork:
    return SileroNetwork()


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    with blockbuster_ctx():
        yield
