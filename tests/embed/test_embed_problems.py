"""What is missing is named: to the page's developers in the console, to the caller in words."""

import pytest
from playwright.async_api import async_playwright, expect

from tests.doubles.chromium import ARGUMENTS
from tests.embed.guest import SPY
from tests.embed.snippets import PAGE
from tests.embed.test_embed_calls import page_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(180),
]

ELEMENT = '<voice-call agent="demo"></voice-call>'
FORBIDDEN = "This page may not ask for your microphone"
HEADER = "the Permissions-Policy header of this page forbids the microphone"
NOT_SHOWN = "Calls do not work on this page at the moment."


async def refused(guest, title):
    await guest.frame.get_by_role("button", name="Call Demo agent").click()
    await expect(guest.frame.get_by_role("alert")).to_contain_text(title)
    await expect(guest.frame.get_by_role("button", name="Type instead")).to_be_visible()


async def test_every_line_is_explained():
    table = PAGE.read_text().split("## When it does not work")[1]
    for line in (HEADER, 'the frame lacks allow="microphone"', "did not let its call be shown"):
        assert line in table


@pytest.mark.parametrize("policy", ["microphone=()", "microphone=(self)"])
async def test_the_header_forbids_it(world, visit, policy):
    url = world.shop.put("/", page_of(world, ELEMENT), Permissions_Policy=policy)
    async with visit(url) as guest:
        await guest.listen()
        await guest.opens()
        await guest.said(
            f'{HEADER}. Send Permissions-Policy: microphone=(self "{world.calls.url}").'
        )
        await refused(guest, FORBIDDEN)
        [error] = await guest.heard("call-error")
        assert error["code"] == "microphone_policy"
        guest.forget_the_browser()


@pytest.mark.parametrize(
    ("allow", "header", "line"),
    [
        ("", "", 'the frame lacks allow="microphone"'),
        ("microphone; autoplay", "microphone=(self)", HEADER),
    ],
)
async def test_a_frame_by_hand_without_the_microphone(world, visit, allow, header, line):
    src = f"{world.calls.url}/embed/demo/?origin={world.shop.origin}"
    headers = {"Permissions_Policy": header} if header else {}
    url = world.shop.put("/", f'<iframe src="{src}" allow="{allow}"></iframe>', **headers)
    async with visit(url) as guest:
        await refused(guest, FORBIDDEN)
        guest.forget_the_browser()
        await guest.said(line)


async def test_the_person_says_no(world, visit):
    async with visit(world.shop.put("/", page_of(world, ELEMENT)), allowed=False) as guest:
        await guest.listen()
        await guest.opens()
        await refused(guest, "The microphone")
        [error] = await guest.heard("call-error")
        assert error["code"] in ("microphone_denied", "microphone_dismissed")
        await expect(guest.frame.get_by_role("alert")).to_contain_text("allow")
        await guest.frame.get_by_role("button", name="Type instead").click()
        await guest.reaches("live")
        await guest.hangs_up()


async def test_there_is_no_device(world, chromium):
    url = world.shop.put("/", page_of(world, ELEMENT))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS])
        context = await browser.new_context(reduced_motion="reduce")
        await context.grant_permissions(["microphone"])
        page = await context.new_page()
        await page.add_init_script(SPY)
        await page.goto(url)
        await page.get_by_role("button", name="Talk to us").click()
        frame = page.frame_locator("iframe")
        await frame.get_by_role("button", name="Call Demo agent").click()
        await expect(frame.get_by_role("alert")).to_contain_text("No microphone was found")
        await browser.close()


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_page_that_is_not_secure(world, visit, by_hand):
    src = f"{world.calls.url}/embed/demo/?origin={world.insecure.origin}"
    frame = f'<iframe src="{src}" allow="microphone; autoplay"></iframe>'
    url = world.insecure.put("/", frame if by_hand else page_of(world, ELEMENT))
    async with visit(url, allowed=False) as guest:
        if not by_hand:
            await guest.opens()
        await refused(guest, "This address cannot use a microphone")
        guest.forget_the_browser()
        await guest.said("this page is not secure")


async def test_the_policy_of_the_page_forbids_the_frame(world, visit):
    policy = f"default-src 'none'; script-src {world.calls.url}"
    url = world.shop.put("/", page_of(world, ELEMENT), Content_Security_Policy=policy)
    async with visit(url) as guest:
        guest.violations = 1
        await guest.listen()
        await guest.opens()
        await expect(guest.page.get_by_text(NOT_SHOWN)).to_be_visible()
        [error] = await guest.heard("call-error")
        assert error["code"] == "frame_blocked"
        await guest.said(
            f"forbids the frame. Add frame-src {world.calls.url} to it.", "violates the following"
        )


async def test_a_page_that_no_site_lists(world, visit):
    url = world.stranger.put("/", page_of(world, ELEMENT))
    async with visit(url) as guest:
        await guest.listen()
        await guest.opens()
        await expect(guest.page.get_by_text(NOT_SHOWN)).to_be_visible()
        [error] = await guest.heard("call-error")
        assert error["code"] == "frame_refused"
        guest.forget_the_browser()
        await guest.said(f"add “{world.stranger.origin}” to the origins of the site")


@pytest.mark.parametrize(
    ("sandbox", "line"),
    [
        ("allow-scripts", "the sandbox of this frame lacks allow-same-origin"),
        ("", "allow-scripts"),
    ],
)
async def test_a_sandbox(world, visit, sandbox, line):
    src = f"{world.calls.url}/embed/demo/?origin={world.shop.origin}"
    frame = f'<iframe src="{src}" allow="microphone" sandbox="{sandbox}"></iframe>'
    async with visit(world.shop.put("/", frame)) as guest:
        await expect(guest.frame.get_by_role("paragraph")).to_contain_text("all")
        assert any(line in said for said in guest.console), guest.console
        guest.console.clear()


async def test_frames_by_hand_are_looked_at_by_the_script(world, visit):
    src = f"{world.calls.url}/embed/demo/?origin={world.shop.origin}"
    frame = f'<iframe src="{src}" sandbox="allow-scripts allow-same-origin"></iframe>'
    async with visit(world.shop.put("/", page_of(world, frame))) as guest:
        await expect(guest.frame.get_by_role("button", name="Call Demo agent")).to_be_visible()
        await guest.page.wait_for_timeout(100)
        assert 'lacks allow="microphone"' in guest.console[0]
        guest.console.clear()


async def test_nothing_begins_without_a_gesture(world, visit):
    script = "<script>addEventListener('load', () => document.querySelector('voice-call').start())</script>"
    async with visit(world.shop.put("/", page_of(world, ELEMENT, script))) as guest:
        await expect(guest.frame.get_by_role("button", name="Call Demo agent")).to_be_visible()
        assert await guest.element.evaluate("(e) => e.stage") == "idle"
        await guest.said("start() works from a click or a key only")
