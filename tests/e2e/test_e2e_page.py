"""Against the real server: without a microphone, by keyboard alone, under the security policy."""

import pytest
from playwright.async_api import Page, expect

from tests.e2e.reviewing import Reviewer
from tests.e2e.visitor import HEARD_RMS
from tests.e2e.way import way_to

pytestmark = [pytest.mark.browser, pytest.mark.asyncio, pytest.mark.timeout(180)]

QUESTION = "Where can I park?"
ANSWER = "Yes, there is free parking behind the house."
NAME = """(element) => (element.getAttribute("aria-label") || element.labels?.[0]?.innerText
  || element.innerText).trim()"""
ADMIN_PAGES = (
    "",
    "calls/conversation/",
    "calls/agent/",
    "calls/agent/add/",
    "calls/agent/1/change/",
)


async def test_who_has_no_microphone_types(start_server, visit):
    server = start_server()
    async with way_to(server.port) as way, visit(way.url, allowed=False) as caller:
        page = caller.page
        await caller.call()
        await caller.sees(page.get_by_role("alert").filter(has_text="The microphone"))
        await expect(page.get_by_role("alert")).to_contain_text("allow")
        await page.get_by_role("button", name="Type instead").click()
        await caller.listens()
        greeted = await caller.output()
        await caller.types(QUESTION)
        await caller.reads("caller", "Where can I park")
        await caller.reads("agent", ANSWER)
        await caller.listens()
        await expect(page.get_by_role("button", name="Mute")).to_be_hidden()
        heard = await caller.output()
        await page.get_by_role("button", name="Hang up").click()
        await caller.sees(page.get_by_role("heading", name="Call ended"))
        [start] = await caller.sent("start")
        assert caller.complaints == []

    assert start["microphone"] is None
    assert greeted.level(0, 8_000) > HEARD_RMS
    begin_ms, end_ms = (len(o.samples) * 1000 // o.rate_hz for o in (greeted, heard))
    assert heard.level(begin_ms, end_ms) > HEARD_RMS


async def test_a_call_by_keyboard_alone(start_server, visit):
    server = start_server()
    async with way_to(server.port) as way, visit(way.url) as caller:
        page = caller.page
        await tab_to(page, "Call Demo agent")
        await page.keyboard.press("Enter")
        await caller.reads("agent", "Hello, this is Maple Street Dental")
        await tab_to(page, "Mute")
        await page.keyboard.press("Enter")
        await caller.sees(page.get_by_role("button", name="Unmute"))
        await tab_to(page, "Type a message to Demo agent")
        await page.keyboard.type(QUESTION)
        await page.keyboard.press("Enter")
        await caller.reads("agent", ANSWER)
        frames = (await caller.stats())["framesSent"]
        await tab_to(page, "Hang up", backwards=True)
        assert (await caller.stats())["framesSent"] == frames, "muted, nothing is sent"
        await page.keyboard.press(" ")
        await expect(page.get_by_role("heading", name="Call ended")).to_be_focused()
        assert [message["muted"] for message in await caller.sent("mute")] == [True]
        assert len(await caller.sent("hang_up")) == 1
        items = await caller.items()
    [asked] = [item for item in items.values() if item["role"] == "user"]
    assert (asked["text"], asked["source"]) == (QUESTION, "text")


async def test_no_page_breaks_the_policy(start_server, installation, visit):
    server = start_server()
    async with way_to(server.port) as way, visit(way.url) as caller:
        page = caller.page
        await caller.call()
        await caller.reads("agent", "Hello")
        await caller.types(QUESTION)
        await caller.reads("agent", ANSWER)
        await page.get_by_role("button", name="Hang up").click()
        await caller.sees(page.get_by_role("heading", name="Call ended"))
        reviewer = Reviewer(page, way.url)
        await reviewer.log_in(installation.admin_password)
        await reviewer.open_conversation("Where can I park?")
        await reviewer.plays(100)
        review = page.url.removeprefix(way.url)
        for path in ("/", review, *(f"/admin/{rest}" for rest in ADMIN_PAGES)):
            policy = (await reviewer.get(path)).headers["content-security-policy"]
            assert "script-src 'self'" in policy.split("; ")
            assert "unsafe-" not in policy
            await page.goto(f"{way.url}{path}")
            await page.wait_for_load_state("networkidle")
        assert caller.complaints == []
        await page.evaluate("document.body.setAttribute('style', 'color: red')")
        [refused] = caller.complaints
        assert "violates" in refused, "the policy is in force"


async def tab_to(page: Page, name: str, *, backwards: bool = False) -> None:
    """Move the focus by the tab key until it is on what has that name."""
    for _ in range(30):
        await page.keyboard.press("Shift+Tab" if backwards else "Tab")
        focused = page.locator(":focus")
        if await focused.count() and await focused.evaluate(NAME) == name:
            return
    raise AssertionError(f"no key leads to {name}")
