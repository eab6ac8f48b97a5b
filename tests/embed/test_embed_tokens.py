"""Private sites: tokens from the page's own server, by each of the three ways, and by none."""

import asyncio
import json
import shutil
from http.server import BaseHTTPRequestHandler

import pytest
from playwright.async_api import expect

from tests.embed.snippets import snippet
from tests.embed.test_embed_calls import last_site, page_of
from tests.needs import machine_environment

pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.timeout(180),
]


@pytest.fixture
def call_token(world, monkeypatch):
    """The page's own server, as the documentation writes it."""
    monkeypatch.setenv("CALLS_SITE_KEY", world.key)
    names: dict[str, object] = {}
    exec(snippet("python", "def call_token", calls=world.calls.url), names)
    return names["call_token"]


@pytest.fixture
def minted(world, call_token):
    """Its address for tokens; the tokens that it gave."""
    given = []

    def answer(_request: BaseHTTPRequestHandler) -> bytes:
        given.append(call_token("customer-4711"))
        return json.dumps({"token": given[-1]}).encode()

    world.clinic.put("/call-token", answer, "application/json")
    return given


async def goes_well(guest):
    await guest.calls()
    await guest.hangs_up()
    for frame in guest.page.frames:
        assert "token" not in frame.url


async def test_token_url_gives_one_for_each_call(world, visit, minted):
    text = snippet("html", "token-url", calls=world.calls.url)
    url = world.clinic.put("/", page_of(world, text), Set_Cookie="login=1")
    world.clinic.asked.clear()
    async with visit(url) as guest:
        await guest.opens()
        assert minted == [], "none is asked for before it is needed"
        await goes_well(guest)
        await guest.frame.get_by_role("button", name="Call again").click()
        await guest.reaches("live")
        await guest.hangs_up()
        await guest.page.context.clear_cookies()
    assert len(set(minted)) == 2
    assert ("/call-token", "login=1") in world.clinic.asked
    assert last_site(world) == "clinic"
    assert not any(token in world.calls.log() for token in minted)


async def test_a_token_in_the_page_is_good_once(world, visit, call_token):
    token = await asyncio.to_thread(call_token, "customer-4711")
    text = snippet("html", "{{ token }}").replace("{{ token }}", token)
    async with visit(world.clinic.put("/", page_of(world, text))) as guest:
        await guest.listen()
        await guest.opens()
        await goes_well(guest)
        await guest.frame.get_by_role("button", name="Call again").click()
        await guest.heard("call-token-needed")
        await guest.element.evaluate(
            "(element, token) => element.setToken(token)",
            await asyncio.to_thread(call_token, "customer-4711"),
        )
        await guest.reaches("live")
        await guest.hangs_up()


async def test_set_token_answers_the_event(world, visit, minted):
    code = snippet("html", "call-token-needed")
    url = world.clinic.put("/", page_of(world, '<voice-call agent="demo"></voice-call>', code))
    async with visit(url) as guest:
        await guest.opens()
        await goes_well(guest)
    assert len(minted) == 1


async def test_a_server_that_gives_none(world, visit):
    body = '<voice-call agent="demo" token-url="/nothing"></voice-call>'
    async with visit(world.clinic.put("/", page_of(world, body))) as guest:
        await guest.opens()
        await guest.frame.get_by_role("button", name="Call Demo agent").click()
        await expect(guest.frame.locator(".vc-after-text")).to_contain_text("permission")
        await guest.said("token-url", "404 (Not Found)")


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not here")
async def test_the_line_for_the_shell(world):
    command = snippet("sh", "curl", calls=world.calls.url)
    done = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-ec",
        command,
        env=machine_environment(CALLS_SITE_KEY=world.key),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await done.communicate()
    assert json.loads(said)["token"]
