"""The call page in a real Chromium, with a WAV as its microphone."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright

from tests.doubles import output_probe
from tests.doubles.chromium import ALLOWED, ARGUMENTS, CAPTURE, DEVICES
from tests.doubles.murmur import murmur, silence, wav

MICROPHONE_RATE_HZ = 16_000

OpenPage = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A WAV that murmurs for a while, again and again."""
    pcm = silence(400, MICROPHONE_RATE_HZ) + murmur(2600, MICROPHONE_RATE_HZ, pitch_hz=190)
    path = tmp_path / "speech.wav"
    path.write_bytes(wav(pcm, MICROPHONE_RATE_HZ))
    return path


@pytest.fixture
def open_page(chromium: str, speech: Path) -> OpenPage:
    """Open an address in a fresh Chromium.

    Leaving fails if the browser complained of anything, or not as often as it should have;
    `complaints=None` does not count.
    """

    @asynccontextmanager
    async def opened(
        url: str,
        *,
        arguments: tuple[str, ...] = (ALLOWED, DEVICES),
        complaints: int | None = 0,
        **context_options: object,
    ) -> AsyncIterator[Page]:
        capture = (f"{CAPTURE}{speech}",) if DEVICES in arguments else ()
        complained: list[str] = []

        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                complained.append(message.text)

        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=chromium, args=[*ARGUMENTS, *arguments, *capture]
            )
            context = await browser.new_context(**context_options)
            page = await context.new_page()
            page.set_default_timeout(10_000)
            page.on("console", note)
            page.on("pageerror", lambda error: complained.append(str(error)))
            await output_probe.attach(page)
            await page.goto(url)
            try:
                yield page
            finally:
                await browser.close()
        assert complaints is None or len(complained) == complaints, complained

    return opened
