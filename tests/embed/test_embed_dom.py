"""The element where frameworks put it: made by scripts, moved, removed, in shadow roots, in twos."""

import pytest
from playwright.async_api import expect

from tests.embed.snippets import snippet
from tests.embed.test_embed_calls import page_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(180),
]


async def test_made_by_a_script_before_embed_js_and_twice_loaded(world, visit):
    code = snippet("js", 'createElement("voice-call")', calls=world.calls.url)
    again = f'<script src="{world.calls.url}/embed.js"></script>'
    html = f"<!doctype html><body><script>{code}call.token = 'x'; call.open = true;</script>"
    url = world.shop.put("/", f"{html}{again}{again}")
    async with visit(url) as guest:
        await expect(guest.page.get_by_role("dialog", name="Talk to us")).to_be_visible()
        assert await guest.element.evaluate("(e) => [e.agent, e.token, typeof e.open]") == [
            "demo", "", "function",
        ]  # fmt: skip
        await expect(guest.frame.get_by_role("button", name="Call Demo agent")).to_be_visible()
        await guest.element.evaluate(
            "(e) => { e.form = 'bubble'; e.label = 'Ask'; e.open = false; }"
        )
        await expect(guest.page.get_by_role("dialog", name="Ask")).to_be_hidden()
        await expect(guest.page.get_by_role("button", name="Ask")).to_be_visible()


async def test_moved_and_removed_in_mid_call(world, visit):
    body = (
        '<div id="a"><voice-call agent="demo" form="inline"></voice-call></div><div id="b"></div>'
    )
    url = world.shop.put("/", page_of(world, body))
    async with visit(url) as guest:
        await guest.listen()
        await guest.calls()
        await guest.page.evaluate("b.moveBefore(document.querySelector('voice-call'), null)")
        await guest.page.wait_for_timeout(200)
        assert await guest.element.evaluate("(e) => e.stage") == "live", "moveBefore keeps it"
        await guest.page.evaluate(
            """() => {
              self.element = document.querySelector("voice-call");
              self.ended = new Promise((resolve) => element.addEventListener("call-end", resolve));
              a.append(element);
              a.append(element);
            }"""
        )
        await guest.page.evaluate("self.ended.then(() => null)")
        assert await guest.element.evaluate("(e) => e.stage") == "idle"
        await expect(guest.frame.get_by_role("button", name="Call Demo agent")).to_be_visible()
        await guest.calls()
        removed = """() => {
          self.ended = new Promise((resolve) => element.addEventListener("call-end", resolve));
          element.remove();
          return self.ended.then(({ detail }) => detail.reason);
        }"""
        assert await guest.page.evaluate(removed) == "caller_hung_up"
        assert await guest.page.locator("iframe").count() == 0
        # It can be put back, somewhere else.
        await guest.page.evaluate(
            """() => {
              const root = b.attachShadow({ mode: "open" });
              element.setAttribute("form", "button");
              root.append(element);
            }"""
        )
        await guest.opens()
        await expect(guest.frame.get_by_role("button", name="Call Demo agent")).to_be_visible()


async def test_of_two_calls_the_later_goes_on(world, visit):
    two = '<voice-call id="one" agent="demo" form="inline" style="--voice-call-height: 300px">'
    two += '</voice-call><voice-call id="two" agent="demo" label="Other"></voice-call>'
    url = world.shop.put("/", page_of(world, two))
    async with visit(url) as guest:
        await guest.listen()
        await guest.calls()
        await guest.opens("Other")
        other = guest.page.frame_locator("#two iframe")
        await guest.calls(other)
        await guest.reaches("ended", "#one")
        await guest.reaches("live", "#two")
        await guest.hangs_up(other)


async def test_another_agent_and_the_page_s_colours_reach_the_frame(world, visit):
    css = snippet("css", "--voice-call-accent")
    body = '<voice-call agent="nobody-yet" open></voice-call>'
    url = world.shop.put("/", page_of(world, body, head=f"<style>{css}</style>"))
    async with visit(url, color_scheme="dark") as guest:
        await guest.page.evaluate("document.querySelector('voice-call').agent = 'demo'")
        button = guest.frame.get_by_role("button", name="Call Demo agent")
        await expect(button).to_have_css("background-color", "rgb(179, 38, 30)")
        paper = "(e) => getComputedStyle(document.body).backgroundColor"
        assert await button.evaluate(paper) == "rgb(255, 250, 245)"
        await guest.page.evaluate("document.querySelector('voice-call').accent = '#ffe08a'")
        await expect(button).to_have_css("background-color", "rgb(255, 224, 138)")
        await expect(button).to_have_css("color", "rgb(0, 0, 0)")
        link = guest.frame.get_by_role("button", name="Type instead")
        assert await link.evaluate("(e) => getComputedStyle(e).color") != "rgb(255, 224, 138)"
        await guest.page.evaluate("document.querySelector('voice-call').theme = 'light'")
        scheme = "() => getComputedStyle(document.documentElement).colorScheme"
        await expect(guest.frame.locator("html[data-theme=light]")).to_be_attached()
        assert await guest.page.frames[-1].evaluate(scheme) == "light"
        # The browser says of the frame of nobody that it was refused; the element has nothing to say.
        guest.forget_the_browser()


async def test_by_keyboard(world, visit):
    url = world.shop.put("/", page_of(world, '<a href="#">Before</a>', '<voice-call agent="demo">'))
    async with visit(url, viewport={"width": 320, "height": 480}, reduced_motion="reduce") as guest:
        page = guest.page
        await guest.defined()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        button = page.get_by_role("button", name="Talk to us")
        await expect(button).to_be_focused()
        await expect(button).to_have_attribute("aria-expanded", "false")
        await page.keyboard.press("Enter")
        await expect(guest.frame.get_by_role("button", name="Call Demo agent")).to_be_focused()
        panel = await page.get_by_role("dialog", name="Talk to us").bounding_box()
        assert panel["x"] >= 0
        assert panel["x"] + panel["width"] <= 320
        assert panel["y"] >= 0
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await expect(button).to_be_focused()
        await expect(button).to_have_attribute("aria-expanded", "false")


async def test_right_to_left(world, visit):
    url = world.shop.put(
        "/", page_of(world, '<div dir="rtl"><voice-call agent="demo" form="bubble">')
    )
    async with visit(url, viewport={"width": 900, "height": 700}) as guest:
        await guest.opens()
        await expect(guest.frame.locator("html[dir=rtl]")).to_be_attached()
        box = await guest.page.get_by_role("dialog").bounding_box()
        assert box["x"] == 20


@pytest.mark.parametrize("size", [(360, 560), (300, 200)])
async def test_small_frames(world, visit, size):
    width, height = size
    body = f'<voice-call agent="demo" form="inline" style="width: {width}px;'
    body += f' --voice-call-height: {height}px"></voice-call>'
    url = world.shop.put("/", page_of(world, body))
    async with visit(url) as guest:
        inside = f"""(e) => {{
          const box = e.getBoundingClientRect();
          return box.top >= 0 && box.left >= 0 && box.bottom <= {height} && box.right <= {width}
            && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
              .closest("button") === e;
        }}"""
        button = guest.frame.get_by_role("button", name="Call Demo agent")
        await expect(button).to_be_visible()
        assert await button.evaluate(inside)
        await guest.calls()
        for name in ("Mute", "Hang up"):
            assert await guest.frame.get_by_role("button", name=name).evaluate(inside), name
        line = await guest.frame.locator(".vc-line").first.evaluate("(e) => e.offsetHeight")
        scroll = await guest.frame.locator(".vc-scroll").evaluate("(e) => e.clientHeight")
        assert scroll >= min(line, 40), "what is said can be read"
        await guest.hangs_up()
