"""Pages of other origins in one Chromium, and one real call server behind them."""

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, async_playwright, expect

from tests.doubles.chromium import ARGUMENTS, CAPTURE, DEVICES
from tests.e2e.microphone import record
from tests.embed.guest import SPY, Guest
from tests.embed.hosts import Host, serving
from tests.embed.rows import make_rows
from tests.servers import Installation, RealServer

EXPECTED_WITHIN_MS = 20_000
NAMES = "--host-resolver-rules=MAP shop.test 127.0.0.1"

Visit = Callable[..., AbstractAsyncContextManager[Guest]]


@dataclass(frozen=True, slots=True)
class World:
    """Everybody.

    Attributes:
        shop: of a public site, whose pages may also come from a disk.
        clinic: of a private one.
        insecure: of the public one too, but by http under a name that is not this machine's.
        stranger: of none.
        key: of the clinic, for tokens.
    """

    calls: RealServer
    shop: Host
    clinic: Host
    insecure: Host
    stranger: Host
    key: str


@pytest.fixture(scope="package")
def world(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("embed")
    left_out = shutil.ignore_patterns("static", "server*.log")
    shutil.copytree(installation.template, place, ignore=left_out, dirs_exist_ok=True)
    with ExitStack() as stack:
        names = ("localhost", "localhost", "shop.test", "localhost")
        hosts = [stack.enter_context(serving(name)) for name in names]
        shop, clinic, insecure, _ = hosts
        key = make_rows(place, [shop.origin, insecure.origin, "file://"], [clinic.origin])
        calls = installation.start(place, {})
        stack.callback(calls.kill)
        yield World(calls, *hosts, key=key)
        log = calls.log()
    assert "Traceback" not in log, log


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser(
    chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    """Its microphone hears a question again and again; nobody has allowed it to any page."""
    speech = tmp_path_factory.mktemp("speech") / "speech.wav"
    record(speech, 500, "hours")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=[*ARGUMENTS, DEVICES, f"{CAPTURE}{speech}", NAMES]
        )
        expect.set_options(timeout=EXPECTED_WITHIN_MS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="package")
async def visit(browser: Browser) -> Visit:
    """Open an address in a fresh profile; `allowed`: the person lets the page use the microphone.

    Leaving fails if a page broke its policy, set a cookie, or asked for the microphone before
    anybody touched it, and if the console said other things than those that were read.
    """

    @asynccontextmanager
    async def opened(url: str, *, allowed: bool = True, **options: object) -> AsyncIterator[Guest]:
        # A click on what is still moving would miss it.
        context = await browser.new_context(**{"reduced_motion": "reduce", **options})
        if allowed:
            await context.grant_permissions(["microphone"])
        page = await context.new_page()
        page.set_default_timeout(20_000)
        guest = Guest(page)

        def note(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                guest.console.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: guest.console.append(str(error)))
        await context.add_init_script(SPY)
        await page.goto(url)
        try:
            yield guest
            await guest.left_nothing()
        finally:
            await context.close()

    return opened
