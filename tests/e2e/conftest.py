"""The whole product: a server process, a Chromium with a WAV as its microphone."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import ConsoleMessage, async_playwright

from tests.doubles import output_probe
from tests.doubles.chromium import ALLOWED, ARGUMENTS, CAPTURE, DEVICES
from tests.e2e.microphone import record
from tests.e2e.visitor import Visitor

TIMEOUT_MS = 20_000
TAP = Path(__file__).with_name("tap.js")

Visit = Callable[..., AbstractAsyncContextManager[Visitor]]


@pytest.fixture
def visit(chromium: str, tmp_path: Path) -> Visit:
    """Open an address in a fresh Chromium.

    `speech` is what the microphone hears from the moment it is opened: milliseconds of silence and
    names of utterances. With `allowed` false the browser refuses it.
    """

    @asynccontextmanager
    async def opened(
        url: str, *speech: int | str, allowed: bool = True, **context_options: object
    ) -> AsyncIterator[Visitor]:
        file = tmp_path / "microphone.wav"
        record(file, *speech)
        arguments = (
            *ARGUMENTS,
            DEVICES,
            f"{CAPTURE}{file}%noloop",
            *((ALLOWED,) if allowed else ()),
        )
        complaints: list[str] = []

        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                complaints.append(f"{message.text} {message.location['url']}")

        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=[*arguments])
            context = await browser.new_context(**context_options)
            page = await context.new_page()
            page.set_default_timeout(TIMEOUT_MS)
            page.on("console", note)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await output_probe.attach(page)
            await page.add_init_script(path=TAP)
            await page.goto(url)
            try:
                yield Visitor(page, complaints)
            finally:
                await browser.close()

    return opened
