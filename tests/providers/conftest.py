"""No provider may hold the event loop, and none is reached by way of a proxy."""

from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """Raise where a coroutine sleeps, reads a file or waits for a socket without awaiting."""
    with blockbuster_ctx() as blocking:
        # The stand-ins read what was uploaded to them from temporary files.
        for double in ("elevenlabs_stt.py", "openai_audio_rules.py"):
            blocking.functions["io.BufferedRandom.read"].can_block_in(double, "_read")
        # Tests read recorded speech, and what the kernel says of processes.
        blocking.functions["io.BufferedReader.read"].can_block_in(
            "test_embedded_speech.py", "caller"
        )
        blocking.functions["io.TextIOWrapper.read"].can_block_in("test_worker_pool.py", "alive")
        yield


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins listen on loopback, which proxies of the machine cannot reach."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
