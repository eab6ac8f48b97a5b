"""The page's ears and voice, against a server that plays a script."""

import asyncio
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, expect

from tests.doubles.call_server import AGENT_RATE_HZ, Line, serve_calls
from tests.doubles.murmur import level, murmur
from tests.doubles.output_probe import output

pytestmark = [pytest.mark.browser, pytest.mark.asyncio]

FRAME_SAMPLES = 512
FADE_SAMPLES = 72


async def call(page: Page) -> None:
    await page.get_by_role("button", name="Call Demo agent").click()


async def stats(page: Page) -> dict:
    return await page.evaluate("document.querySelector('voice-call').stats")


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, dtype="<i2").astype(np.int32)


def same_sound(heard: np.ndarray, sent: np.ndarray) -> bool:
    """Whether it is the same, but for what fades in at its beginning and dies away at its end."""
    body = slice(FADE_SAMPLES, len(sent) - FADE_SAMPLES)
    places = np.flatnonzero(heard[: 4 * FADE_SAMPLES] == sent[body][0])
    return any(
        np.array_equal(heard[at : at + len(sent[body])], sent[body]) for at in map(int, places)
    )


async def silent_call(line: Line) -> None:
    await line.ready()
    await line.phase("listening")


async def test_the_microphone_arrives_whole_and_in_time(open_page):
    async with serve_calls(silent_call) as server, open_page(server.url) as page:
        await call(page)
        await asyncio.sleep(4)
        [line] = server.lines
        assert line.start["microphone"] == {"rate_hz": 16_000}
        positions = sorted(line.microphone)

    assert positions == list(range(0, len(positions) * FRAME_SAMPLES, FRAME_SAMPLES))
    assert {len(pcm) for pcm in line.microphone.values()} == {2 * FRAME_SAMPLES}
    assert 3.0 < len(positions) * FRAME_SAMPLES / 16_000 < 4.5
    assert level(b"".join(line.microphone[at] for at in positions)) > 0.02


async def test_an_answer_is_played_sample_by_sample_without_a_gap(open_page):
    sound = murmur(3000, AGENT_RATE_HZ)
    done = asyncio.Event()

    async def script(line: Line) -> None:
        await line.ready()
        await line.sound(1, sound)
        await line.played(1, 3000)
        done.set()

    async with serve_calls(script) as server, open_page(server.url) as page:
        await call(page)
        await asyncio.wait_for(done.wait(), 20)
        await asyncio.sleep(0.2)
        heard = await output(page)
        figures = await stats(page)
        reports = [heard.message for heard in server.lines[0].of_type("played")]
        times = [heard.at_s for heard in server.lines[0].of_type("played")]

    assert same_sound(heard.sound, samples(sound))
    assert level(heard.sound.astype("<i2").tobytes()) == pytest.approx(level(sound), rel=0.05)
    assert figures["output"]["underruns"] == 0
    # At the start, about five a second, at the end.
    assert reports[0] == {"type": "played", "response_id": 1, "played_ms": 0} | {
        "buffered_ms": reports[0]["buffered_ms"]
    }
    assert 80 <= reports[0]["buffered_ms"] <= 400
    assert reports[-1] == {
        "type": "played", "response_id": 1, "played_ms": 3000, "buffered_ms": 0
    }  # fmt: skip
    assert 15 <= len(reports) <= 18
    gaps = np.diff(times)
    assert 0.15 < np.median(gaps) < 0.25


async def test_clear_is_silence_at_once_and_counted_to_the_sample(open_page):
    sound = murmur(5000, AGENT_RATE_HZ)
    answered: dict[str, Any] = {}
    done = asyncio.Event()

    async def script(line: Line) -> None:
        await line.ready()
        async with asyncio.TaskGroup() as group:
            group.create_task(line.sound(1, sound))
            await line.played(1, 1200)
            asked = asyncio.get_running_loop().time()
            await line.send(type="clear", response_id=1)
            answered["cut"] = await line.said("cut")
            answered["after_ms"] = 1000 * (asyncio.get_running_loop().time() - asked)
        # Late sound of the response, that was on its way when it was cleared.
        await line.sound(1, sound[:9600], start_ms=1500)
        await asyncio.sleep(0.5)
        done.set()

    async with serve_calls(script) as server, open_page(server.url) as page:
        await call(page)
        await asyncio.wait_for(done.wait(), 20)
        heard = await output(page)
        clear = (await stats(page))["last_clear"]

    [clear_frame] = heard.clear_frames
    silent_after_ms = (heard.last_frame - clear_frame) * 1000 / heard.rate_hz
    assert silent_after_ms < 80, silent_after_ms
    assert answered["after_ms"] < 150
    assert clear["answered_at"] - clear["received_at"] < 150
    # Every sample that was heard is counted, and no other.
    begin = int(np.flatnonzero(heard.samples)[0])
    heard_ms = (heard.last_frame + 1 - begin) * 1000 / heard.rate_hz
    assert answered["cut"]["played_ms"] == pytest.approx(heard_ms, abs=2)
    # It faded: the end is not a cliff.
    assert abs(int(heard.samples[heard.last_frame])) < 1000


async def test_a_stall_pauses_the_voice_and_loses_nothing(open_page):
    sound = murmur(2000, AGENT_RATE_HZ)
    half = len(sound) // 2
    done = asyncio.Event()

    async def script(line: Line) -> None:
        await line.ready()
        await line.sound(1, sound[:half], end=False)
        await line.played(1, 1000)
        await asyncio.sleep(0.25)
        await line.sound(1, sound[half:], start_ms=1000)
        await line.played(1, 2000)
        done.set()

    async with serve_calls(script) as server, open_page(server.url) as page:
        await call(page)
        await asyncio.wait_for(done.wait(), 20)
        await asyncio.sleep(0.2)
        heard = await output(page)
        figures = await stats(page)

    assert figures["output"]["underruns"] == 1
    assert figures["output"]["targetMs"] == 120
    sent = samples(sound)
    begin = int(np.flatnonzero(heard.samples)[0])
    second = heard.samples[begin + len(sent) // 2 + 2400 :]
    assert same_sound(second[np.flatnonzero(second)[0] :], sent[len(sent) // 2 :])


async def test_coming_back_nothing_is_said_twice_and_nothing_is_lost(open_page):
    sound = murmur(4000, AGENT_RATE_HZ)
    state: dict[str, Any] = {}
    done = asyncio.Event()

    async def script(line: Line) -> None:
        if line.number == 0:
            await line.ready()
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(line.sound(1, sound))
                await line.played(1, 1500)
                sending.cancel()
            await line.drop()
            return
        # The last sound that the old socket brought may not have been taken in.
        before = state["lines"][0].microphone
        missing_from = max(before) - 3 * FRAME_SAMPLES
        await line.ready(microphone_position=missing_from)
        state["missing_from"] = missing_from
        played_ms = line.start["resume"]["played"]["played_ms"]
        state["played_ms"] = played_ms
        await line.sound(1, sound[played_ms * 48 :], start_ms=played_ms)
        await line.played(1, 4000)
        await asyncio.sleep(0.3)
        done.set()

    async with serve_calls(script) as server, open_page(server.url) as page:
        state["lines"] = server.lines
        await call(page)
        await asyncio.wait_for(done.wait(), 25)
        heard = await output(page)
        await expect(page.locator("voice-call")).to_have_js_property("stage", "live")
        first, second = server.lines

    assert second.start["resume"]["call_id"] == "c1"
    assert second.start["resume"]["secret"] == "secret-0"
    # The voice: all samples once. The pause in the middle is silence.
    begin = int(np.flatnonzero(heard.samples)[0])
    sent = samples(sound)
    told = state["played_ms"] * 24
    assert same_sound(heard.sound, sent[:told])
    rest = heard.samples[begin + told + 200 :]
    assert same_sound(rest[np.flatnonzero(rest)[0] :], sent[told:])
    # The microphone: from where the server stopped hearing it, without a hole.
    positions = sorted(second.microphone)
    assert positions[0] == state["missing_from"]
    assert set(np.diff(positions)) == {FRAME_SAMPLES}
    assert first.microphone[positions[0]] == second.microphone[positions[0]]


async def test_the_volume_is_that_of_the_output(open_page):
    async def script(line: Line) -> None:
        await line.ready()
        await line.sound(1, murmur(30_000, AGENT_RATE_HZ))

    async def level_now(page: Page, line: Line) -> float:
        await line.played(1, line.playback(1).played_ms + 900)
        heard = await output(page)
        end_ms = len(heard.samples) * 1000 // heard.rate_hz
        return heard.level(end_ms - 400, end_ms)

    async with serve_calls(script) as server, open_page(server.url) as page:
        await call(page)
        await page.get_by_role("button", name="Sound").click()
        volume = page.get_by_role("slider", name="Volume")
        [line] = await server.lines_of(1)
        await line.played(1, 600)
        await volume.fill("0")
        quiet = await level_now(page, line)
        await volume.fill("100")
        loud = await level_now(page, line)

    assert quiet < 0.001
    assert loud > 0.05


async def test_another_microphone_in_mid_call(open_page):
    async with serve_calls(silent_call) as server, open_page(server.url) as page:
        await call(page)
        await page.get_by_role("button", name="Sound").click()
        picker = page.get_by_role("combobox", name="Microphone")
        await expect(picker.locator("option")).not_to_have_count(0)
        others = await picker.locator("option").evaluate_all("all => all.map((o) => o.value)")
        await asyncio.sleep(0.8)
        [line] = server.lines
        before = max(line.microphone)
        await picker.select_option(others[-1])
        await asyncio.sleep(1.2)
        await expect(page.get_by_role("alert")).to_be_hidden()
        after = sorted(at for at in line.microphone if at > before)

    assert len(others) > 1
    assert len(after) > 20, "it goes on"
    # In time as well: what the change took is skipped, not pushed together.
    assert after[-1] - before > 16_000
