"""Stand-ins are reached directly, and everything is loaded before the first budget counts."""

import asyncio
from collections.abc import Iterator

import pytest

from calls.providers.elevenlabs.client import clients_close as elevenlabs_close
from calls.providers.openai.client import clients_close as openai_close
from tests.doubles.providers.base import serving
from tests.faults import providers
from tests.faults.bench import CLOCK, FAST, calling, cascade


@pytest.fixture(scope="session", autouse=True)
def no_proxy() -> Iterator[None]:
    """Stand-ins listen on loopback, which proxies of the machine cannot reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="session", autouse=True)
def loaded(no_proxy: None) -> None:
    """SDKs load much of themselves at their first request: a quarter of a second, and more."""
    asyncio.run(_load())


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of calls runs faster than real time."""
    monkeypatch.setattr(CLOCK, "pace", FAST)


async def _load() -> None:
    for provider in (providers.CHAT, providers.RESPONSES, providers.SPEECH, providers.VOICE_HTTP):
        double = provider.double()
        async with serving(double):
            await provider.ready(double)
            stages = {provider.stage.value: [provider.build(double)]}
            async with calling(cascade(**stages)) as call:
                await call.says_something()
            await openai_close()
            await elevenlabs_close()
