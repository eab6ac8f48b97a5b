"""Real calls from pages of other origins, in every form, and what their pages see of them."""

import re
import sqlite3
from contextlib import closing

import pytest
from playwright.async_api import expect

from tests.embed.snippets import snippet

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(180),
]

STRICT = "default-src 'none'; script-src {0}; frame-src {0}; require-trusted-types-for 'script'"
HOSTILE = (
    "<style>* { display: block !important; position: static !important; color: red !important;"
)
HOSTILE += " width: 3px !important; } button, iframe { visibility: hidden !important; }</style>"


def page_of(world, *parts, head=""):
    script = f'<script src="{world.calls.url}/embed.js" async></script>'
    body = "\n".join(parts)
    return f"<!doctype html><html><head><title>Host</title>{head}{script}</head><body>{body}</body></html>"


def last_site(world):
    with closing(sqlite3.connect(world.calls.var_dir / "db.sqlite3", timeout=20)) as database:
        asked = "SELECT site_slug FROM calls_conversation ORDER BY started_at DESC LIMIT 1"
        return database.execute(asked).fetchone()[0]


async def test_a_button_under_the_strictest_policy(world, visit):
    text = snippet("html", "async></script>\n<voice-call", calls=world.calls.url)
    policy = snippet("text", "default-src 'none'", calls=world.calls.url).partition(": ")[2].strip()
    assert policy in STRICT.format(world.calls.url)
    url = world.shop.put(
        "/", f"<!doctype html>{text}", Content_Security_Policy=STRICT.format(world.calls.url)
    )
    async with visit(url) as guest:
        await guest.listen()
        assert await guest.page.locator("iframe").count() == 0, "not loaded before it is opened"
        await guest.opens()
        await expect(guest.page.get_by_role("dialog", name="Talk to us")).to_be_visible()
        await guest.calls()
        await guest.speaks()
        await guest.hangs_up()
        [started] = await guest.heard("call-start")
        [ended] = await guest.heard("call-end")
        assert await guest.events("call-item") == []
        stages = [detail["stage"] for detail in await guest.events("call-state")]
    assert started["agent"] == {"slug": "demo", "name": "Demo agent"}
    assert re.fullmatch(r"[\w-]{8,}", started["callId"])
    assert ended["reason"] == "caller_hung_up"
    assert ended["durationMs"] > 100
    assert list(dict.fromkeys(stages)) == ["asking", "connecting", "live", "ended"]
    assert last_site(world) == "shop"


async def test_a_bubble_in_a_page_that_styles_everything(world, visit):
    text = snippet("html", 'form="bubble" label', calls=world.calls.url)
    url = world.shop.put("/", page_of(world, text, head=HOSTILE))
    async with visit(url, viewport={"width": 390, "height": 760}) as guest:
        await guest.listen()
        await guest.element.evaluate("(element) => { element.transcript = true; }")
        bubble = guest.page.get_by_role("button", name="Talk to us")
        box = await bubble.bounding_box()
        assert (box["width"], box["height"]) == (60, 60)
        await guest.opens()
        await guest.calls()
        await guest.heard("call-item")
        assert (await guest.page.locator("iframe").bounding_box())["height"] > 500
        await guest.page.get_by_role("button", name="Hide the call").click()
        await expect(guest.page.locator("iframe")).to_be_hidden()
        assert await guest.element.evaluate("(e) => e.stage") == "live", "hidden, it goes on"
        await expect(
            guest.page.get_by_role("button", name="Talk to us, call in progress")
        ).to_be_focused()
        await guest.element.evaluate("(element) => element.hangUp()")
        [ended] = await guest.heard("call-end")
        [item] = (await guest.events("call-item"))[:1]
    assert ended["reason"] == "caller_hung_up"
    assert item["role"] == "agent"


async def test_inline_and_typed_with_a_granted_policy(world, visit):
    text = snippet("html", 'form="inline"', calls=world.calls.url)
    granted = f'microphone=(self "{world.calls.url}")'
    far = '<div style="height: 3000px"></div>'
    script = snippet("html", "call-end")
    url = world.shop.put("/", page_of(world, far, text, script), Permissions_Policy=granted)
    async with visit(url) as guest:
        await guest.defined()
        await guest.page.wait_for_timeout(100)
        assert await guest.page.locator("iframe").count() == 0, "far away, it is not loaded"
        await guest.element.scroll_into_view_if_needed()
        await guest.frame.get_by_role("button", name="No microphone? Type instead").click()
        field = guest.frame.get_by_label("Type a message")
        await field.fill("Where can I park?")
        await field.press("Enter")
        answer = guest.frame.locator(".vc-line[data-who=agent]").filter(has_text="parking")
        await expect(answer).to_be_visible(timeout=15_000)
        await guest.hangs_up()
        await expect(guest.page).to_have_title("The call ended: caller_hung_up")


async def test_a_frame_written_by_hand(world, visit):
    text = snippet("html", "<iframe", calls=world.calls.url, origin=world.shop.origin)
    url = world.shop.put("/", f"<!doctype html>{text}")
    async with visit(url) as guest:
        await guest.calls()
        await guest.speaks()
        await guest.hangs_up()
    assert last_site(world) == "shop"


async def test_a_page_that_is_isolated(world, visit):
    headers = {
        "Cross_Origin_Embedder_Policy": "require-corp",
        "Cross_Origin_Opener_Policy": "same-origin",
    }
    body = '<voice-call agent="demo" form="inline"></voice-call>'
    async with visit(world.shop.put("/", page_of(world, body), **headers)) as guest:
        assert await guest.page.evaluate("crossOriginIsolated")
        await guest.calls()
        await guest.hangs_up()


async def test_a_page_from_a_disk(world, visit, tmp_path):
    text = snippet("html", "async></script>\n<voice-call", calls=world.calls.url)
    file = tmp_path / "page.html"
    file.write_text(f"<!doctype html>{text}".replace("<voice-call", "<voice-call transcript"))
    async with visit(file.as_uri()) as guest:
        await guest.listen()
        await guest.opens()
        await guest.calls()
        await guest.hangs_up()
        assert await guest.heard("call-start") == [{}]
        assert await guest.heard("call-end")
        assert await guest.events("call-item") == [], "anybody could be that page"
    assert last_site(world) == "shop"
