"""Who has to agree first sees to what, and no call begins before."""

import sqlite3
from contextlib import closing

import pytest
from playwright.async_api import expect

from tests.embed.test_embed_calls import page_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(180),
]

TEXT = "We record this call and keep it for 30 days."


def consents(world):
    with closing(sqlite3.connect(world.calls.var_dir / "db.sqlite3", timeout=20)) as database:
        asked = "SELECT consent_text, consented_at FROM calls_conversation ORDER BY started_at DESC LIMIT 1"
        return database.execute(asked).fetchone()


async def test_one_button_agrees_and_calls(world, visit):
    script = "<script>addEventListener('click', () => document.querySelector('voice-call').start())"
    body = '<voice-call agent="asks" form="inline"></voice-call><button>Host</button>'
    async with visit(world.shop.put("/", page_of(world, body, f"{script}</script>"))) as guest:
        agree = guest.frame.get_by_role("button", name="Agree and call")
        await expect(agree).to_be_visible()
        await expect(guest.frame.get_by_text(TEXT)).to_be_visible()
        await expect(guest.frame.get_by_role("button", name="Call Demo agent")).to_be_hidden()
        # The page cannot agree for the caller.
        await guest.page.get_by_role("button", name="Host").click()
        await expect(agree).to_be_focused()
        assert await guest.element.evaluate("(e) => e.stage") == "idle"
        await agree.click()
        await guest.reaches("live")
        await guest.hangs_up()
    text, at = consents(world)
    assert text == TEXT
    assert at


async def test_typing_needs_it_too(world, visit):
    body = '<voice-call agent="asks" form="inline"></voice-call>'
    async with visit(world.shop.put("/", page_of(world, body)), allowed=False) as guest:
        await guest.frame.get_by_role("button", name="Agree, but type instead").click()
        await guest.reaches("live")
        await guest.hangs_up()
    assert consents(world)[1]
