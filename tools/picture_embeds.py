"""Pages of somebody else with calls in them, for the pictures of docs/embedding.md."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, FrameLocator, Page, Playwright

from tests.doubles.chromium import ARGUMENTS, CAPTURE, DEVICES
from tests.e2e.microphone import record
from tests.embed.hosts import Host, serving
from tests.embed.rows import make_rows
from tests.needs import chromium_path
from tests.servers import Installation, RealServer

DESKTOP = {"width": 1100, "height": 760}
PHONE = {"width": 390, "height": 780}
SPEECH = (10_500, "hours", 30_000)
ACCENT = "#5b3df5"
FORMS = {
    "button": '<voice-call agent="demo" label="Talk to our front desk"></voice-call>',
    "bubble": f'<voice-call agent="demo" form="bubble" accent="{ACCENT}"></voice-call>',
    "dark": '<voice-call agent="demo" form="bubble" theme="dark"></voice-call>',
    "inline": '<voice-call agent="demo" form="inline"></voice-call>',
}
STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1c2430;
  font: 17px/1.6 Georgia, "Liberation Serif", serif; }
header { display: flex; gap: 2rem; align-items: baseline;
  padding: 1.1rem max(1.25rem, calc(50vw - 24rem));
  border-bottom: 1px solid #e4e7eb; }
header b { font-size: 1.25rem; } header span { color: #66707d; font-size: 0.95rem; }
main { max-width: 48rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0 0 0.75rem; text-wrap: balance; }
.dark { color-scheme: dark; background: #12161c; color: #e8ebf0; }
.dark header { border-color: #2a313b; }
voice-call { margin: 0.5rem 0; }
@media (max-width: 30rem) { header span { display: none; } h1 { font-size: 1.7rem; } }
"""
WORDS = (
    "Toothache does not keep office hours. Call us from this page, by voice, and get an"
    " appointment while you speak.",
    "We have looked after the teeth of this street since 1987. New patients are welcome; the first"
    " visit takes an hour, and nothing hurts. Parking is behind the house.",
    "Bring your insurance card, and if you are afraid of us, a friend.",
)

Shoot = Callable[..., Awaitable[None]]


def page_of(calls: RealServer, form: str) -> str:
    """A page as a small business has it."""
    about = [f"<p>{text}</p>" for text in WORDS]
    return f"""<!doctype html><html lang="en"><head><title>Maple Street Dental</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>
<script src="{calls.url}/embed.js" async></script></head><body class="{form}">
<header><b>Maple Street Dental</b>
<span>Treatments</span><span>People</span><span>Find us</span></header>
<main><h1>A dentist who picks up</h1>{about[0]}{FORMS[form]}{"".join(about[1:])}
</main></body></html>"""


@contextmanager
def a_site(installation: Installation, place: Path) -> Iterator[tuple[RealServer, Host]]:
    """A server, and a site whose pages may show its calls."""
    server = installation.start(place, {})
    try:
        with serving("localhost") as host:
            make_rows(place, [host.origin], [])
            yield server, host
    finally:
        server.kill()


async def the_embeds(
    playwright: Playwright, installation: Installation, place: Path, shoot: Shoot
) -> None:
    """Every form, on a desk and on a phone, and every way not to have a microphone."""
    with a_site(installation, place / "embed") as (server, host):
        speech = place / "embed.wav"
        record(speech, *SPEECH)
        heard = [DEVICES, f"{CAPTURE}{speech}%noloop"]
        for form in FORMS:
            host.put(f"/{form}", page_of(server, form))
        for name, form, options in (
            ("embed-button", "button", {"viewport": DESKTOP}),
            ("embed-button-phone", "button", {"viewport": PHONE}),
            ("embed-bubble", "bubble", {"viewport": DESKTOP}),
            ("embed-bubble-phone", "bubble", {"viewport": PHONE}),
            ("embed-dark", "dark", {"viewport": PHONE, "color_scheme": "dark"}),
            ("embed-inline", "inline", {"viewport": {"width": 1100, "height": 900}}),
        ):
            browser = await _launch(playwright, heard)
            page = await _opened(browser, f"{host.origin}/{form}", **options)
            await _picture(page, name, shoot)
            await browser.close()
        await _microphone_help(playwright, host, server, heard, shoot)


async def _launch(playwright: Playwright, arguments: list[str]) -> Browser:
    return await playwright.chromium.launch(
        executable_path=chromium_path(), args=[*ARGUMENTS, *arguments]
    )


async def _opened(browser: Browser, url: str, *, allowed: bool = True, **options: Any) -> Page:
    context = await browser.new_context(reduced_motion="no-preference", **options)
    if allowed:
        await context.grant_permissions(["microphone"])
    page = await context.new_page()
    await page.goto(url)
    if not url.endswith("inline"):
        await page.locator("voice-call").get_by_role("button").first.click()
    await _frame(page).get_by_role("button", name="Call Demo agent").wait_for()
    await page.wait_for_timeout(700)
    return page


def _frame(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


async def _picture(page: Page, name: str, shoot: Shoot) -> None:
    if name == "embed-button":
        await shoot(page, name)
        return
    frame = _frame(page)
    await frame.get_by_role("button", name="Call Demo agent").click()
    await frame.locator(".vc-line[data-who=caller]").first.wait_for(timeout=40_000)
    answer = frame.locator(".vc-line[data-who=agent]").nth(1)
    await answer.get_by_text("Friday").wait_for(timeout=40_000)
    await shoot(page, name)


async def _microphone_help(
    playwright: Playwright, host: Host, server: RealServer, heard: list[str], shoot: Shoot
) -> None:
    policy = {"Permissions_Policy": "microphone=()"}
    host.put("/policy", page_of(server, "button"), **policy)
    for name, path, arguments, allowed in (
        ("policy", "/policy", heard, True),
        ("denied", "/button", heard, False),
        ("missing", "/button", [], True),
    ):
        browser = await _launch(playwright, arguments)
        page = await _opened(browser, f"{host.origin}{path}", allowed=allowed, viewport=DESKTOP)
        await _frame(page).get_by_role("button", name="Call Demo agent").click()
        await _frame(page).get_by_role("alert").wait_for()
        await page.wait_for_timeout(500)
        box = await page.get_by_role("dialog").bounding_box()
        assert box is not None
        clip = {"x": box["x"] - 12, "y": box["y"] - 12}
        clip |= {"width": box["width"] + 24, "height": box["height"] + 24}
        await shoot(page, f"microphone-help-{name}", clip=clip)
        await browser.close()
