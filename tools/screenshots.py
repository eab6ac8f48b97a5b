"""Takes the pictures in docs/images: `.venv/bin/python tools/screenshots.py [GROUP...]`.

A group is one of `page`, `embed`, `protocols`, `services` and `sites`; without any, all pictures
are taken. The real server, real calls in Chromium with speech as its microphone. Needs what the
tests need; see requirements-dev.txt.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from picture_calls import all_at_once, by_telephone  # noqa: E402 - a script beside this one
from picture_embeds import the_embeds  # noqa: E402
from playwright.async_api import Page, Playwright, async_playwright  # noqa: E402

from tests.doubles.chromium import ALLOWED, ARGUMENTS, CAPTURE, DEVICES  # noqa: E402
from tests.e2e.hosted import agent_is, hosted  # noqa: E402
from tests.e2e.microphone import record  # noqa: E402
from tests.e2e.reviewing import Reviewer  # noqa: E402
from tests.needs import chromium_path  # noqa: E402
from tests.server.callers import Caller  # noqa: E402
from tests.servers import Installation, RealServer  # noqa: E402

IMAGES = ROOT / "docs" / "images"
BYTES_MAX = 200_000
DESKTOP = {"width": 1240, "height": 800}
PHONE = {"width": 390, "height": 800}
REVIEW = {"width": 1280, "height": 1060}
TALL = {"width": 1280, "height": 1180}
LIST = {"width": 1600, "height": 760}
SITE = {"width": 1280, "height": 1300}
STORY = (10_500, "hours", 4_300, "friday", 8_500, "goodbye")
HOURS = (3_000, "hours", 30_000)
BOOKING = (3_000, "appointment", 4_300, "monday", 30_000)
_STATS = "document.querySelector('voice-call').stats"
_POLL_MS = 30
_POLLS = 2_000

Stats = dict[str, Any]


class Camera:
    """A Chromium whose pages hear a WAV.

    Args:
        place: a folder for files that are not kept.
    """

    def __init__(self, playwright: Playwright, place: Path) -> None:
        self.playwright = playwright
        self._place = place

    @asynccontextmanager
    async def page(self, url: str, *speech: int | str, **options: Any) -> AsyncIterator[Page]:
        """An open page; `options` are those of a browser context."""
        file = self._place / "microphone.wav"
        record(file, *speech)
        arguments = [*ARGUMENTS, DEVICES, ALLOWED, f"{CAPTURE}{file}%noloop"]
        browser = await self.playwright.chromium.launch(
            executable_path=chromium_path(), args=arguments
        )
        try:
            page = await browser.new_page(**options)
            await page.goto(url)
            yield page
        finally:
            await browser.close()


async def until(page: Page, condition: Callable[[Stats], bool]) -> None:
    """Wait for something to come true of the call page's figures.

    Raises:
        TimeoutError: it never did.
    """
    for _ in range(_POLLS):
        stats = await page.evaluate(_STATS)
        if stats and condition(stats):
            return
        await page.wait_for_timeout(_POLL_MS)
    raise TimeoutError(f"waited in vain: {stats}")


def speaking(response_id: int, played_ms: int) -> Callable[[Stats], bool]:
    """The agent is well into that answer, and loud enough for the picture to show it."""

    def condition(stats: Stats) -> bool:
        output = stats["output"] or {}
        told = output.get("responseId") == response_id and output["playedMs"] > played_ms
        return told and stats["phase"] == "speaking" and stats["level"]["output"] > 0.12

    return condition


def hearing(stats: Stats) -> bool:
    """The caller speaks up."""
    return stats["phase"] == "hearing" and stats["level"]["microphone"] > 0.2


async def shoot(page: Page, name: str, **options: Any) -> None:
    """Take a picture.

    Raises:
        ValueError: the file is larger than a page should have to load.
    """
    file = IMAGES / f"{name}.png"
    await page.screenshot(path=file, **options)
    size = file.stat().st_size
    sys.stdout.write(f"{file.relative_to(ROOT)}  {size // 1000} kB\n")
    if size > BYTES_MAX:
        raise ValueError(f"{name} is too large")


async def the_story(camera: Camera, server: RealServer) -> None:
    """A call from the button to the end."""
    async with camera.page(f"{server.url}/", *STORY, viewport=DESKTOP) as page:
        await shoot(page, "call-idle")
        await page.get_by_role("button", name="Call Demo agent").click()
        await until(page, speaking(2, 2_000))
        await shoot(page, "call-speaking")
        await until(page, hearing)
        await page.wait_for_timeout(900)
        await until(page, hearing)
        await shoot(page, "call-listening")
        await until(page, lambda stats: stats["stage"] == "ended")
        await page.wait_for_timeout(600)
        await shoot(page, "call-ended")


async def a_short_call(
    camera: Camera,
    server: RealServer,
    name: str,
    speech: tuple[int | str, ...],
    when: Callable[[Stats], bool],
    **options: Any,
) -> None:
    """A call in other clothes."""
    async with camera.page(f"{server.url}/", *speech, **options) as page:
        await page.get_by_role("button", name="Call Demo agent").click()
        await until(page, when)
        await shoot(page, name)
        await page.get_by_role("button", name="Hang up").click()
        await until(page, lambda stats: stats["stage"] == "ended")


async def the_review(
    camera: Camera, server: RealServer, password: str, name: str, **options: Any
) -> None:
    """The story as a reviewer reads it, at a place in the answer that was interrupted."""
    async with camera.page(f"{server.url}/", **options) as page:
        reviewer = Reviewer(page, server.url)
        await reviewer.log_in(password)
        await reviewer.open_conversation("on friday")
        await page.locator(".entry.agent.is-interrupted .words [data-ms]").nth(4).click()
        await page.wait_for_timeout(900)
        await page.get_by_role("button", name="Pause", exact=True).click()
        await page.wait_for_timeout(300)
        await page.evaluate("scrollTo(0, 0)")
        await shoot(page, name)
        if name == "review":
            await page.locator(".waits").screenshot(path=IMAGES / "review-waits.png")


async def the_protocols(camera: Camera, installation: Installation, place: Path) -> None:
    """Calls by several protocols, as the list and a review show them."""
    server = installation.start(place / "protocols", {})
    try:
        await all_at_once(server)
        await by_telephone(server)
        await the_list(camera, server, installation.admin_password)
        async with camera.page(f"{server.url}/", viewport=TALL) as page:
            reviewer = Reviewer(page, server.url)
            await reviewer.log_in(installation.admin_password)
            await reviewer.open_conversation("4711")
            await page.wait_for_timeout(500)
            await shoot(page, "review-avr")
    finally:
        server.kill()


async def the_list(camera: Camera, server: RealServer, password: str) -> None:
    """All conversations."""
    async with camera.page(f"{server.url}/", viewport=LIST) as page:
        await Reviewer(page, server.url).log_in(password)
        await page.goto(f"{server.url}/admin/calls/conversation/")
        await shoot(page, "conversations")


async def the_services(camera: Camera, installation: Installation, place: Path) -> None:
    """A call on hosted services, one of which fails, and the agent that chose them."""
    async with hosted() as services:
        server = installation.start(place / "hosted", services.variables)
        try:
            agent_is(server, tts_fallbacks=["openai-realtime"], voice="")
            async with Caller(server.ws_url, hasty=False) as caller:
                await caller.start()
                await caller.hears_out(60)
                await caller.asks("What are your opening hours?", 60)
                services.voice_dies()
                await caller.asks("And on Friday?", 60)
                await caller.hangs_up()
            await _shoot_services(camera, server, installation.admin_password)
        finally:
            server.kill()


async def _shoot_services(camera: Camera, server: RealServer, password: str) -> None:
    async with camera.page(f"{server.url}/", viewport={"width": 1280, "height": 3200}) as page:
        reviewer = Reviewer(page, server.url)
        await reviewer.log_in(password)
        await reviewer.open_conversation("on friday")
        await page.evaluate(
            "document.querySelectorAll('details.services').forEach(d => d.open = true)"
        )
        last = page.locator(".waits > ol > li").last
        await last.screenshot(path=IMAGES / "review-services.png")
        await page.goto(f"{server.url}/admin/calls/agent/")
        await page.get_by_role("link", name="Demo agent").first.click()
        section = page.locator("fieldset", has_text="Voice and mind").first
        await section.screenshot(path=IMAGES / "agent-services.png")


async def the_page(camera: Camera, installation: Installation, place: Path) -> None:
    """The call page, and the review of a call by it."""
    server = installation.start(place / "var", {})
    short = partial(a_short_call, camera, server)
    review = partial(the_review, camera, server, installation.admin_password)
    try:
        dark = {"viewport": DESKTOP, "color_scheme": "dark"}
        phone = {"viewport": PHONE, "device_scale_factor": 1.5}
        await short("call-dark", HOURS, speaking(2, 2_000), **dark)
        await short("call-phone", BOOKING, speaking(3, 700), is_mobile=True, **phone)
        await the_story(camera, server)
        await review("review", viewport=REVIEW)
        await review("review-dark", viewport=REVIEW, color_scheme="dark")
        await review("review-phone", **phone)
    finally:
        server.kill()


async def the_embed(camera: Camera, installation: Installation, place: Path) -> None:
    """Calls in pages of somebody else."""
    await the_embeds(camera.playwright, installation, place, shoot)


async def the_sites(camera: Camera, installation: Installation, place: Path) -> None:
    """A site in the admin with a day's use, and what its pages copy from the agent's."""
    server = installation.start(place / "sites", {"PUBLIC_URL": "https://calls.example"})
    try:
        async with camera.page(f"{server.url}/", viewport=SITE) as page:
            await Reviewer(page, server.url).log_in(installation.admin_password)
            await page.goto(f"{server.url}/admin/calls/site/add/")
            await page.get_by_label("Name", exact=False).first.fill("Maple Street Dental")
            await page.locator("#id_public").check()
            await page.locator("#id_origins").fill('["https://maple.example"]')
            await page.locator("#id_all_agents").check()
            await page.locator("#id_max_day_cost").fill("25")
            await page.get_by_role("button", name="Save and continue editing").first.click()
            await page.wait_for_load_state("networkidle")
            await shoot(page, "site")
            await page.goto(f"{server.url}/admin/calls/agent/")
            await page.get_by_role("link", name="Demo agent").first.click()
            await page.locator("#embed").screenshot(path=IMAGES / "agent-snippets.png")
    finally:
        server.kill()


GROUPS = {
    "page": the_page,
    "embed": the_embed,
    "protocols": the_protocols,
    "services": the_services,
    "sites": the_sites,
}


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        made = Path(folder, "made")
        made.mkdir()
        asyncio.run(_run(Installation.made_in(made), Path(folder)))


async def _run(installation: Installation, place: Path) -> None:
    async with async_playwright() as playwright:
        for group in sys.argv[1:] or GROUPS:
            await GROUPS[group](Camera(playwright, place), installation, place)


if __name__ == "__main__":
    main()
