"""`realtime-transport-websocket` 0.1.1, untouched, in a Chromium with a WAV as its microphone."""

from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright

from tests.doubles.chromium import ALLOWED, ARGUMENTS, CAPTURE, DEVICES
from tests.e2e.microphone import record
from tests.interop.calls import Seen, agree
from tests.interop.node import run_node

pytestmark = [
    pytest.mark.interop,
    pytest.mark.browser,
    pytest.mark.asyncio,
    pytest.mark.timeout(400),
]

FOLDER = Path(__file__).parent / "thrive"
CALL_S = 90
RATE_HZ = 24_000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The package as a script for a page."""
    file = tmp_path_factory.mktemp("thrive") / "thrive.js"
    run_node(FOLDER / "bundle.mjs", file)
    return file


@pytest_asyncio.fixture
async def page(server, bundle, chromium, tmp_path):
    """A page of the server; its microphone asks for the hours, interrupts, and says goodbye."""
    microphone = tmp_path / "microphone.wav"
    record(microphone, 10_000, "hours", 3_700, "friday", 8_000, "no-goodbye", 20_000)
    arguments = [*ARGUMENTS, DEVICES, f"{CAPTURE}{microphone}%noloop", ALLOWED]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=arguments)
        context = await browser.new_context(bypass_csp=True)
        page = await context.new_page()
        await page.goto(server.url)
        await page.add_script_tag(path=FOLDER / "page.js")
        await page.add_script_tag(path=bundle)
        yield page
        await browser.close()


async def test_a_whole_call(server, records, page):
    await page.evaluate("begin({ instructions: 'Of a page without a key: ignored.' })")
    await page.wait_for_function("seen.some(({type, event_id}) => event_id)")
    await page.evaluate("transport.send({ type: 'response.create' })")
    await page.wait_for_function("seen.some(({type}) => type === 'closed')", timeout=CALL_S * 1_000)
    seen = await page.evaluate("seen")
    raw = await page.evaluate("raw")
    await page.evaluate("transport.close()")

    assert seen[-1] == {"type": "closed", "code": 1000}
    kinds = {event["type"] for event in seen}
    assert {"session.created", "speech.started", "speech.stopped", "response.done"} <= kinds
    assert not {"error", "session.error"} & kinds
    # The application gets all sound that came, though the package drops plain strings.
    sounds = _of(seen, "response.audio.delta")
    assert len(sounds) == len(_of(raw, "response.audio.delta"))
    assert sum(sound["samples"] for sound in sounds) > 10 * RATE_HZ
    assert max(sound["loudest"] for sound in sounds) > 3_000
    # GA names would mean that two dialects are mixed.
    assert not any("output_" in kind and "output_item" not in kind for kind in kinds)

    record = records.only()
    assert record.conversation["protocol"] == "openai-realtime"
    heard = _of(seen, "conversation.item.input_audio_transcription.completed")
    greeting, *answers = _of(seen, "response.audio_transcript.done")
    agree(
        Seen(
            greeting=greeting["transcript"],
            user=[event["transcription"] for event in heard],
            agent=[answer["transcript"] for answer in answers],
            end="agent_ended",
        ),
        record,
    )
    # The agent's own tool is the server's affair; how well each word is understood, the recogniser's.
    assert "hours" in record.user[0]
    assert "goodbye" in record.user[-1]
    cut = record.interrupted()[0]
    assert "Monday" in cut["text"] + cut["unheard"]
    assert cut["unheard"]
    assert "Maple Street" in greeting["transcript"]


def _of(events, kind):
    return [event for event in events if event["type"] == kind]
