"""Keyboard, screen reader, small screens, less motion, and the security policy."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.doubles.call_server import AGENT_RATE_HZ, Line, serve_calls
from tests.doubles.murmur import murmur

pytestmark = [pytest.mark.browser, pytest.mark.asyncio]

PHONE = {"width": 360, "height": 640}

UNNAMED = """() => [...document.querySelectorAll("voice-call :is(button, input, select, summary)")]
  .filter((e) => e.checkVisibility())
  .filter((e) => !(e.getAttribute("aria-label") || e.innerText || "").trim() && !(e.labels?.length))
  .map((e) => e.outerHTML)"""

SMALL = """() => [...document.querySelectorAll("voice-call button")]
  .filter((e) => e.checkVisibility())
  .map((e) => [e.innerText, e.getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24)
  .map(([text]) => text)"""

CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("voice-call *")]
    .filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .filter((e) => !e.closest(".vc-unseen"))
    .map((e) => {
      const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
      return [e.className || e.tagName, e.textContent.trim().slice(0, 30), (a + 0.05) / (b + 0.05)];
    })
    .filter(([, , ratio]) => ratio < 4.5);
}"""

SHIFTS = """() => new Promise((resolve) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => resolve(sum), 300);
})"""


async def full_call(line: Line) -> None:
    await line.ready(notice="Offline demo voice: English, quiet room, short sentences.")
    await line.phase("speaking")
    await line.text(1, "Hello, this is the demo agent. How can I help you today?")
    await line.send(type="transcript", turn=1, text="I would like", final=False)
    stages = {"endpointing": 600, "stt": 300, "llm": 0, "tts": 12, "playout": 0, "delivery": 0}
    await line.send(type="turn", turn=1, latency_ms=912, stages=stages)
    await line.send(type="tool", tool_call_id="t", name="look_up", running=True, failed=False)
    await line.sound(1, murmur(30_000, AGENT_RATE_HZ))


async def focused(page: Page) -> str:
    return await page.evaluate(
        "() => (document.activeElement.getAttribute('aria-label') || document.activeElement.innerText"
        " || document.activeElement.labels?.[0]?.innerText || document.activeElement.tagName).trim()"
    )


async def test_a_whole_call_by_keyboard(open_page):
    async with serve_calls(full_call) as server, open_page(server.url) as page:
        await page.keyboard.press("Tab")
        assert await focused(page) == "Call Demo agent"
        ring = "e => getComputedStyle(e).outlineStyle + ' ' + getComputedStyle(e).outlineWidth"
        assert await page.locator(":focus").evaluate(ring) == "solid 3px"
        await page.keyboard.press("Enter")
        [line] = await server.lines_of(1)
        await line.played(1, 200)
        assert await focused(page) == "Mute"
        order = [await focused(page)]
        for _ in range(7):
            await page.keyboard.press("Tab")
            order.append(await focused(page))
        assert order == [
            "Mute", "Push to talk", "Sound", "Hang up", "What is said",
            "Type a message to Demo agent", "Send", order[7],
        ]  # fmt: skip
        assert order[7].startswith("For the curious")
        for _ in range(5):
            await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("combobox", name="Microphone")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("combobox", name="Microphone")).to_be_hidden()
        assert await focused(page) == "Sound"
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Call ended")).to_be_focused()
        await page.keyboard.press("Tab")
        assert await focused(page) == "Call again"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_has_a_name_a_size_and_contrast(open_page, scheme):
    async with (
        serve_calls(full_call, consent_text="This call is recorded.") as server,
        open_page(server.url, color_scheme=scheme) as page,
    ):
        findings = []
        for stage in ("idle", "live", "ended"):
            if stage == "live":
                await page.get_by_role("button", name="Call Demo agent").click()
                [line] = await server.lines_of(1)
                await line.played(1, 1500)
                await page.get_by_text("For the curious").click()
                await page.get_by_role("button", name="Sound").click()
                await asyncio.sleep(0.7)
            if stage == "ended":
                await page.get_by_role("button", name="Hang up").click()
            for question in (UNNAMED, SMALL, CONTRASTS):
                findings += [(stage, found) for found in await page.evaluate(question)]
    assert findings == []


@pytest.mark.parametrize("viewport", [PHONE, {"width": 1280, "height": 720}])
async def test_nothing_shifts_and_nothing_sticks_out(open_page, viewport):
    async with serve_calls(full_call) as server, open_page(server.url, viewport=viewport) as page:

        async def fits() -> bool:
            return await page.evaluate(
                "() => document.scrollingElement.scrollWidth <= document.documentElement.clientWidth"
            )

        assert await fits()
        assert await page.evaluate(SHIFTS) < 0.001
        await page.get_by_role("button", name="Call Demo agent").click()
        [line] = await server.lines_of(1)
        await line.played(1, 800)
        await asyncio.sleep(0.6)  # What came up with the click has settled.
        before = await page.evaluate(SHIFTS)
        await line.played(1, 3500)
        for control in ("Mute", "Push to talk", "Hang up"):
            await expect(page.get_by_role("button", name=control)).to_be_in_viewport()
        assert await fits()
        during = await page.evaluate(SHIFTS) - before
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("heading", name="Call ended")).to_be_visible()
        assert await fits()
    assert during < 0.02


@pytest.mark.parametrize("reduced", [True, False])
async def test_the_picture_moves_with_the_voice_unless_motion_is_unwelcome(open_page, reduced):
    options = {"reduced_motion": "reduce" if reduced else "no-preference"}
    async with serve_calls(full_call) as server, open_page(server.url, **options) as page:
        await page.get_by_role("button", name="Call Demo agent").click()
        [line] = await server.lines_of(1)
        await line.played(1, 700)
        pictures = set()
        for _ in range(4):
            await asyncio.sleep(0.15)
            pictures.add(await page.evaluate("document.querySelector('canvas').toDataURL()"))
    assert len(pictures) == (1 if reduced else 4)


async def test_the_page_lives_under_the_strict_policy(open_page):
    """A violation is a complaint of the browser: `open_page` fails for one that is not meant."""
    async with serve_calls(full_call) as server, open_page(server.url, complaints=1) as page:
        refused = await page.evaluate(
            """() => new Promise((resolve) => {
              addEventListener("securitypolicyviolation", ({effectiveDirective}) =>
                resolve(effectiveDirective));
              const style = document.createElement("style");
              style.textContent = "body { color: red }";
              document.head.append(style);
              setTimeout(() => resolve("nothing"), 2000);
            })"""
        )
        assert refused.startswith("style-src"), "the policy is in force"
