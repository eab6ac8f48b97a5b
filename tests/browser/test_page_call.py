"""What a caller sees and does, against a server that plays a script."""

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.doubles.call_server import AGENT_RATE_HZ, Line, serve_calls
from tests.doubles.murmur import murmur

pytestmark = [pytest.mark.browser, pytest.mark.asyncio]

ANSWER = "Done. You are down for Monday at half past ten. Is there anything else?"


async def call(page: Page) -> None:
    await page.get_by_role("button", name="Call Demo agent").click()


def log(page: Page):
    return page.get_by_role("log")


def after(page: Page):
    return page.locator(".vc-after-text")


async def listening(line: Line) -> None:
    await line.ready()
    await line.phase("listening")


async def answering(line: Line) -> None:
    """Speak until the script is told to go on."""
    await line.ready()
    await line.phase("speaking")
    await line.text(1, ANSWER)
    await line.sound(1, murmur(5000, AGENT_RATE_HZ))


async def test_nothing_is_asked_for_before_the_click(open_page):
    async with serve_calls(listening) as server, open_page(server.url) as page:
        await page.evaluate(
            "() => { navigator.mediaDevices.getUserMedia = () => { window.asked = true; }; }"
        )
        await asyncio.sleep(0.5)
        assert await page.evaluate("window.asked") is None
        assert server.lines == []
        await expect(page.get_by_role("heading", name="Demo agent")).to_be_visible()
        await expect(page.get_by_text("Offline demo voice")).to_be_visible()


async def test_the_agents_words_follow_its_voice(open_page):
    async with serve_calls(answering) as server, open_page(server.url) as page:
        await call(page)
        said = page.locator(".vc-line[data-who=agent] .vc-said")
        await server.lines_of(1)
        [line] = server.lines
        shown: list[str] = []
        for ms in (600, 2500, 4400):
            await line.played(1, ms)
            shown.append(await said.inner_text())
        await line.played(1, 5000)
        await expect(said).to_have_text(ANSWER)
        await line.item(1, "agent", ANSWER, response_id=1)
        await expect(log(page)).to_contain_text(ANSWER)

    lengths = [len(text) / len(ANSWER) for text in shown]
    assert all(ANSWER.startswith(text) for text in shown)
    assert 0.05 < lengths[0] < 0.35 < lengths[1] < 0.7 < lengths[2] <= 1


async def test_interrupted_words_are_marked_for_eye_and_ear(open_page):
    async with serve_calls(answering) as server, open_page(server.url) as page:
        await call(page)
        await server.lines_of(1)
        [line] = server.lines
        await line.played(1, 1500)
        await line.send(type="clear", response_id=1)
        await line.said("cut")
        unheard = page.locator("del")
        await expect(unheard).to_contain_text("Is there anything else?")
        await line.item(
            1, "agent", "Done. You are down", response_id=1, status="interrupted",
            unheard=" for Monday at half past ten. Is there anything else?",
        )  # fmt: skip
        await expect(unheard).to_have_text(
            "Not heard: for Monday at half past ten. Is there anything else?", use_inner_text=False
        )
        decoration = await unheard.evaluate("e => getComputedStyle(e).textDecorationLine")
        await expect(log(page)).to_contain_text("Done. You are down")
    assert decoration == "line-through"


async def test_the_callers_words_appear_as_they_are_understood(open_page):
    async with serve_calls(listening) as server, open_page(server.url) as page:
        await call(page)
        await server.lines_of(1)
        [line] = server.lines
        words = page.locator(".vc-line[data-who=caller] .vc-said")
        await line.phase("hearing")
        await expect(page.locator(".vc-phase")).to_have_text("You are speaking")
        await line.send(type="transcript", turn=1, text="I would like", final=False)
        await expect(words).to_have_text("I would like")
        assert await log(page).inner_text() == "", "unfinished words are not announced"
        await line.send(type="transcript", turn=1, text="I would like to book", final=True)
        await line.item(1, "user", "I would like to book", turn=1)
        await expect(log(page)).to_contain_text("I would like to book")
        await expect(words).to_have_count(1)


async def test_a_tool_a_turn_and_a_trouble_are_shown(open_page):
    async with serve_calls(listening) as server, open_page(server.url) as page:
        await call(page)
        await server.lines_of(1)
        [line] = server.lines
        tool = {"type": "tool", "tool_call_id": "t1", "name": "book_appointment", "failed": False}
        await line.send(**tool, running=True)
        await expect(page.get_by_text("Booking appointment…")).to_be_visible()
        await line.send(**tool, running=False)
        await expect(page.get_by_text("Booking appointment…")).to_have_count(0)
        stages = {"endpointing": 600, "stt": 300, "llm": 0, "tts": 12, "playout": 0, "delivery": 0}
        await line.send(type="turn", turn=1, latency_ms=912, stages=stages)
        await expect(page.get_by_text("answered in 0.91 s")).to_be_visible()
        await page.get_by_text("For the curious").click()
        await expect(page.get_by_role("row", name="understanding")).to_contain_text("300 ms")
        await line.send(type="error", code="speech_busy", message="Busy.", fatal=False)
        await expect(page.locator(".vc-trouble")).to_contain_text("speech engines are busy")
        await expect(page.get_by_role("status")).to_contain_text("speech engines are busy")


async def test_muted_nothing_leaves_the_page(open_page):
    async with serve_calls(listening) as server, open_page(server.url) as page:
        await call(page)
        await server.lines_of(1)
        [line] = server.lines
        await line.until(lambda: len(line.microphone) > 10)
        await page.get_by_role("button", name="Mute").click()
        await line.until(lambda: line.of_type("mute"))
        await asyncio.sleep(0.2)
        before = set(line.microphone)
        await asyncio.sleep(1.5)
        assert set(line.microphone) == before
        await expect(page.locator(".vc-phase")).to_contain_text("You are muted")
        await page.get_by_role("button", name="Unmute").click()
        await line.until(lambda: len(line.microphone) > len(before) + 5)
        first_after = min(set(line.microphone) - before)
    # The muted time has passed on the call's clock as well.
    assert first_after - max(before) > 1.4 * 16_000
    assert [heard.message["muted"] for heard in line.of_type("mute")] == [True, False]


async def test_push_to_talk_with_the_space_bar(open_page):
    async with serve_calls(listening) as server, open_page(server.url) as page:
        await call(page)
        await server.lines_of(1)
        [line] = server.lines
        await page.get_by_role("button", name="Push to talk").click()
        await line.said("turns")
        await page.locator(".vc-name").click()  # The focus is nowhere.
        await asyncio.sleep(0.3)
        before = set(line.microphone)
        await asyncio.sleep(0.5)
        assert set(line.microphone) == before, "nothing is heard while nothing is held"
        hold = page.get_by_role("button", name="Hold to talk")
        await expect(hold).to_be_visible()
        await page.keyboard.down(" ")
        await line.said("talk")
        await expect(page.get_by_role("button", name="Talking")).to_have_attribute(
            "aria-pressed", "true"
        )
        await asyncio.sleep(1)
        await page.keyboard.up(" ")
        assert (await line.said("talk", 2))["pressed"] is False
        talked = sorted(set(line.microphone) - before)
        held = sum(len(line.microphone[at]) for at in talked) / 2 / 16_000
        await asyncio.sleep(0.3)
        assert sorted(set(line.microphone) - before) == talked, "nothing follows the release"
    assert 0.9 < held < 1.6


async def test_push_to_talk_latches_with_a_tap(open_page):
    async with serve_calls(listening) as server, open_page(server.url) as page:
        await call(page)
        await server.lines_of(1)
        [line] = server.lines
        await page.get_by_role("button", name="Push to talk").click()
        button = page.locator("[data-part=holdButton]")
        await button.click()
        await line.said("talk")
        await asyncio.sleep(0.5)
        assert len(line.of_type("talk")) == 1, "it stays down"
        await button.click()
        await line.said("talk", 2)
        # As a screen reader clicks: neither finger nor key.
        await button.evaluate("e => e.click()")
        assert (await line.said("talk", 3))["pressed"] is True
        await button.evaluate("e => e.click()")
        assert (await line.said("talk", 4))["pressed"] is False


async def test_typed_words(open_page):
    async with serve_calls(listening) as server, open_page(server.url) as page:
        await call(page)
        await server.lines_of(1)
        [line] = server.lines
        field = page.get_by_label("Type a message to Demo agent")
        await field.fill("  What time is it? ")
        await field.press("Enter")
        assert await line.said("text") == {"type": "text", "text": "What time is it?"}
        await expect(field).to_have_value("")
        await expect(page.locator(".vc-line[data-status=sending]")).to_contain_text("What time")
        await line.item(1, "user", "What time is it?", source="text")
        await expect(page.locator(".vc-line[data-who=caller]")).to_have_count(1)
        await expect(log(page)).to_contain_text("What time is it?")


async def test_a_lost_socket_comes_back(open_page):
    async def script(line: Line) -> None:
        await line.ready()
        await line.item(1, "agent", "Hello.")
        if line.number == 0:
            await line.said("ping", 2)
            await line.drop()

    async with serve_calls(script) as server, open_page(server.url) as page:
        await page.evaluate(
            """() => {
              window.stages = [];
              document.addEventListener("call-state", ({detail}) => stages.push(detail.stage));
            }"""
        )
        await call(page)
        await server.lines_of(2)
        await expect(page.locator("voice-call")).to_have_js_property("stage", "live")
        await expect(page.get_by_role("status")).to_have_text("Connected again")
        await expect(page.locator(".vc-line")).to_have_count(1)
        stages = await page.evaluate("window.stages")
        figures = await page.evaluate("document.querySelector('voice-call').stats")
    first_of_each = list(dict.fromkeys(stages))
    assert first_of_each == ["asking", "connecting", "live", "reconnecting"]
    assert figures["socketLosses"] == 1
    assert isinstance(figures["rtt_ms"], int)


async def test_a_call_that_cannot_be_saved_says_so(open_page):
    limits = {"max_call_ms": 900_000, "resume_ms": 1_500}

    async def script(line: Line) -> None:
        if line.number == 0:
            await line.ready(limits=limits)
            await line.item(1, "agent", "Hello.")
            await line.said("ping")
        await line.drop()

    # A socket that breaks while it opens is a complaint of the browser's own.
    async with serve_calls(script) as server, open_page(server.url) as page:
        await call(page)
        await expect(page.get_by_role("heading", name="The call broke off")).to_be_visible()
        await expect(after(page)).to_contain_text("The connection was lost")
        await expect(page.get_by_role("button", name="Call again")).to_be_visible()


async def test_the_end_of_a_call(open_page, tmp_path: Path):
    async def script(line: Line) -> None:
        await line.ready()
        if line.number:
            return
        await line.item(1, "agent", "Hello there.", source="fixed")
        await line.item(2, "user", "Goodbye.", turn=1)
        await line.item(3, "agent", "See you", unheard=" soon.", status="interrupted", turn=1)
        await asyncio.sleep(1)
        await line.end("agent_ended")

    async with serve_calls(script) as server, open_page(server.url) as page:
        await page.evaluate(
            "() => addEventListener('call-end', ({detail}) => { window.ended = detail; })"
        )
        await call(page)
        title = page.get_by_role("heading", name="Call ended")
        await expect(title).to_be_visible()
        await expect(title).to_be_focused()
        await expect(after(page)).to_contain_text("Demo agent said goodbye after")
        await expect(log(page)).to_contain_text("Hello there.")
        async with page.expect_download() as expected:
            await page.get_by_role("button", name="Download transcript").click()
        await (await expected.value).save_as(tmp_path / "transcript.txt")
        ended = await page.evaluate("window.ended")
        await page.get_by_role("button", name="Call again").click()
        await server.lines_of(2)
        await expect(page.locator("voice-call")).to_have_js_property("stage", "live")
        await expect(log(page)).to_be_empty()

    text = (tmp_path / "transcript.txt").read_text()
    assert "Demo agent: Hello there.\nYou: Goodbye.\nDemo agent: See you [not heard: soon.]" in text
    assert ended["reason"] == "agent_ended"
    assert 800 < ended["durationMs"] < 5000
    assert server.lines[1].start["resume"] is None


async def test_hanging_up_is_silent_at_once(open_page):
    async with serve_calls(answering) as server, open_page(server.url) as page:
        await call(page)
        await server.lines_of(1)
        [line] = server.lines
        await line.played(1, 500)
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("heading", name="Call ended")).to_be_visible()
        await line.said("hang_up")
        frames = len(line.microphone)
        await asyncio.sleep(0.3)
        assert len(line.microphone) == frames
        await expect(page.locator("del")).to_contain_text("Is there anything else?")


@pytest.mark.parametrize(
    ("code", "close", "says"),
    [
        ("busy", 4503, "All lines are busy"),
        ("unauthorized", 4401, "has no permission"),
        ("no_such_agent", 4404, "nobody at this address"),
    ],
)
async def test_a_call_that_is_refused(open_page, code, close, says):
    async def script(line: Line) -> None:
        await line.send(type="error", code=code, message="For people.", fatal=True)
        await line.connection.close(close)

    async with serve_calls(script) as server, open_page(server.url) as page:
        await call(page)
        await expect(page.get_by_role("heading", name="No call")).to_be_visible()
        await expect(after(page)).to_contain_text(says)
        await expect(page.get_by_role("button", name="Download transcript")).to_be_hidden()
        await asyncio.sleep(0.5)
        assert len(server.lines) == 1


async def test_what_the_page_around_it_is_told(open_page):
    async def script(line: Line) -> None:
        await line.ready()
        await line.phase("speaking")
        await line.item(1, "agent", "Hello.")

    async with serve_calls(script) as server, open_page(server.url) as page:
        await page.evaluate(
            """() => {
              window.told = [];
              for (const type of ["call-start", "call-state", "call-item", "call-end"])
                addEventListener(type, ({detail}) => told.push([type, detail]));
            }"""
        )
        await page.evaluate("document.querySelector('voice-call').start({microphone: false})")
        await expect(log(page)).to_contain_text("Hello.")
        await page.evaluate("document.querySelector('voice-call').hangUp()")
        told = await page.evaluate("window.told")
    kinds = [kind for kind, _ in told]
    assert kinds[0] == "call-state"
    assert ["call-start", {"callId": "c1", "agent": {"slug": "demo", "name": "Demo agent"}}] in told
    assert ["call-state", {"stage": "live", "phase": "speaking"}] in told
    assert [detail["text"] for kind, detail in told if kind == "call-item"] == ["Hello."]
    assert told[-1][0] in ("call-end", "call-state")
    assert [detail["reason"] for kind, detail in told if kind == "call-end"] == ["caller_hung_up"]
