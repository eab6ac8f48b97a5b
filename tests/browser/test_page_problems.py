"""Each way not to have a microphone, in the caller's words, with typing instead."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from tests.doubles.call_server import AGENT_RATE_HZ, Line, serve_calls
from tests.doubles.chromium import ALLOWED, DEVICES
from tests.doubles.murmur import murmur

pytestmark = [pytest.mark.browser, pytest.mark.asyncio]

BUSY = """navigator.mediaDevices.getUserMedia = () =>
  Promise.reject(new DOMException("Could not start audio source", "NotReadableError"));"""
SYSTEM = """navigator.mediaDevices.getUserMedia = () =>
  Promise.reject(new DOMException("Permission denied by system", "NotAllowedError"));"""
DISMISSED = """navigator.mediaDevices.getUserMedia = () =>
  Promise.reject(new DOMException("Permission dismissed", "NotAllowedError"));"""
"""What a headless browser cannot be brought to do by itself."""


async def answering(line: Line) -> None:
    await line.ready()
    typed = await line.said("text")
    await line.item(1, "user", typed["text"], source="text")
    await line.text(1, "It is four o'clock.")
    await line.sound(1, murmur(400, AGENT_RATE_HZ))


async def call(page: Page) -> None:
    await page.get_by_role("button", name="Call Demo agent").click()


async def explained(page: Page, title: str) -> None:
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text(title)
    await expect(page.get_by_role("button", name="Try again")).to_be_focused()


async def type_instead(page: Page, line_of) -> None:
    await page.get_by_role("button", name="Type instead").click()
    await line_of(1)
    field = page.get_by_label("Type a message")
    await expect(field).to_be_focused()
    await field.fill("What time is it?")
    await field.press("Enter")
    await expect(page.locator(".vc-line[data-who=agent]")).to_contain_text("It is four o'clock.")
    await expect(page.get_by_role("button", name="Mute")).to_be_hidden()


@pytest.mark.parametrize(
    ("arguments", "before", "title"),
    [
        pytest.param((DEVICES,), "", "The microphone", id="the permission is refused"),
        pytest.param((ALLOWED,), "", "No microphone was found", id="no device"),
        pytest.param((ALLOWED, DEVICES), BUSY, "The microphone is in use", id="busy"),
        pytest.param((ALLOWED, DEVICES), SYSTEM, "Your system keeps", id="the system refuses"),
        pytest.param((ALLOWED, DEVICES), DISMISSED, "was not allowed", id="dismissed"),
    ],
)
async def test_no_microphone(open_page, arguments, before, title):
    async with (
        serve_calls(answering) as server,
        open_page(server.url, arguments=arguments) as page,
    ):
        if before:
            await page.evaluate(f"() => {{ {before} }}")
        await call(page)
        await explained(page, title)
        await type_instead(page, server.lines_of)
        assert server.lines[0].start["microphone"] is None
        assert server.lines[0].start["capabilities"] == ["playback"]


async def test_the_page_may_not_ask(open_page):
    async with (
        serve_calls(answering, permissions_policy="microphone=()") as server,
        open_page(server.url, complaints=None) as page,
    ):
        await call(page)
        await explained(page, "This page may not ask for your microphone")
        await type_instead(page, server.lines_of)


async def test_an_insecure_address_answers_in_writing(open_page):
    async with serve_calls(answering) as server:
        url = server.url.replace("127.0.0.1", "calls.test")
        arguments = (ALLOWED, DEVICES, "--host-resolver-rules=MAP calls.test 127.0.0.1")
        async with open_page(url, arguments=arguments) as page:
            await call(page)
            await explained(page, "This address cannot use a microphone")
            await type_instead(page, server.lines_of)
            # Nothing can be played there, so that nothing is reported.
            assert server.lines[0].start["capabilities"] == []
            assert server.lines[0].of_type("played") == []


async def test_trying_again_works(open_page):
    async with serve_calls(answering) as server, open_page(server.url) as page:
        await page.evaluate(
            """() => {
              const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = (wanted) => {
                navigator.mediaDevices.getUserMedia = real;
                return Promise.reject(new DOMException("", "NotReadableError"));
              };
            }"""
        )
        await call(page)
        await explained(page, "The microphone is in use")
        await page.get_by_role("button", name="Try again").click()
        [line] = await server.lines_of(1)
        await line.until(lambda: len(line.microphone) > 5)
        await expect(page.get_by_role("alert")).to_be_hidden()


async def test_the_microphone_goes_away_in_mid_call(open_page):
    async with serve_calls(answering) as server, open_page(server.url) as page:
        await page.evaluate(
            """() => {
              const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
              navigator.mediaDevices.getUserMedia = async (wanted) => {
                const stream = await real(wanted);
                window.tracks = stream.getAudioTracks();
                return stream;
              };
            }"""
        )
        await call(page)
        [line] = await server.lines_of(1)
        await line.until(lambda: len(line.microphone) > 5)
        await page.evaluate(
            """() => {
              const [track] = window.tracks;
              navigator.mediaDevices.getUserMedia = () =>
                Promise.reject(new DOMException("", "NotFoundError"));
              track.stop();
              track.dispatchEvent(new Event("ended"));
            }"""
        )
        await expect(page.get_by_role("alert")).to_contain_text("No microphone was found")
        await expect(page.locator("voice-call")).to_have_js_property("stage", "live")
        await asyncio.sleep(0.2)
        await expect(page.get_by_role("button", name="Hang up")).to_be_visible()
