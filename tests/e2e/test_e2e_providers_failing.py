"""Hosted services fail in mid-call: what the caller hears instead, and what is told of it."""

import re

import numpy as np
import pytest
from playwright.async_api import expect

from tests.doubles.providers.openai_http import says
from tests.doubles.providers.openai_realtime import Says
from tests.e2e.hosted import Hosted, agent_is, hosted, leaks
from tests.e2e.reviewing import Reviewer
from tests.e2e.visitor import AGENT_RATE_HZ, Visitor
from tests.e2e.way import way_to
from tests.server.stored import Stored

pytestmark = [pytest.mark.browser, pytest.mark.asyncio, pytest.mark.timeout(180)]

GREETING = "Hello, this is Maple Street."
LONG = "We are open from Monday to Friday, from nine to five, but not on public holidays."
SHORT = "There is free parking behind the house."
APOLOGY = "I am sorry, something went wrong on my side. Please say that again."
ELEVENLABS_HZ, OPENAI_HZ = 220, 440
"""What the voices of the stand-ins sound like."""
PLAIN = re.compile(r"[A-Z][^{}<>\[\]_=]{10,120}[.!]")
"""One sentence for somebody who does not know what a WebSocket is."""

TROUBLES = """() => {
  window.troubles = [];
  setInterval(() => {
    const text = document.querySelector("voice-call [data-part=trouble]").textContent;
    if (text && window.troubles.at(-1) !== text) window.troubles.push(text);
  }, 100);
}"""


async def test_the_next_voice_takes_over(start_server, installation, visit):
    async with hosted() as there:
        server = start_server(**there.variables)
        agent_is(server, tts_provider="elevenlabs", tts_fallbacks=["openai-realtime"])
        will_say(there, GREETING, LONG, SHORT)
        async with way_to(server.port) as way, visit(way.url) as caller:
            await answers(caller, None, GREETING)
            there.voice_dies()
            await answers(caller, "When are you open?", LONG)
            await answers(caller, "Where can I park?", SHORT)
            assert await pitches_hz(caller) == pytest.approx(
                [ELEVENLABS_HZ, OPENAI_HZ, OPENAI_HZ], abs=5
            )
            assert await caller.received("error") == [], "nobody had to know"
            items = await hangs_up(caller)
            await there.left_alone()
            pages = await the_review_tells(caller, way.url, installation, "Where can I park?")
    assert {item["status"] for item in items.values()} == {"complete"}
    assert ("elevenlabs", "ok") in outcomes(server)
    assert ("openai", "ok") in outcomes(server)
    assert {outcome for provider, outcome in outcomes(server) if provider == "elevenlabs"} > {"ok"}
    assert list(leaks(server, *pages)) == []


async def test_half_a_sentence_is_not_said_in_two_voices(start_server, installation, visit):
    async with hosted() as there:
        server = start_server(**there.variables)
        agent_is(server, tts_provider="elevenlabs", tts_fallbacks=["openai-realtime"])
        will_say(there, GREETING, LONG, SHORT)
        async with way_to(server.port) as way, visit(way.url) as caller:
            await answers(caller, None, GREETING)
            there.voice_dies(after=4)
            await answers(caller, "When are you open?", LONG[:20])
            await says_plainly(caller)
            await answers(caller, "Where can I park?", SHORT)
            assert await pitches_hz(caller) == pytest.approx(
                [ELEVENLABS_HZ, ELEVENLABS_HZ, OPENAI_HZ], abs=5
            )
            await hangs_up(caller)
            await there.left_alone()
            pages = await the_review_tells(caller, way.url, installation, "Where can I park?")
    assert list(leaks(server, *pages)) == []


async def test_with_all_of_them_gone_the_offline_voice_apologises(
    start_server, installation, visit
):
    async with hosted() as there:
        server = start_server(**there.variables)
        will_say(there, GREETING)
        async with way_to(server.port) as way, visit(way.url) as caller:
            await answers(caller, None, GREETING)
            there.everything_fails()
            there.voice_dies()
            await answers(caller, "When are you open?", APOLOGY)
            await says_plainly(caller)
            there.works_again()
            will_say(there, SHORT)
            await answers(caller, "Where can I park?", SHORT)
            greeting, apology, _ = [await caller.answer(n) for n in await responses(caller)]
            assert purity(greeting) > 0.9
            assert apology.size > AGENT_RATE_HZ
            assert purity(apology) < 0.3, "speech, and not the tone of a stand-in"
            await hangs_up(caller)
            await there.left_alone()
            pages = await the_review_tells(caller, way.url, installation, "Where can I park?")
    assert list(leaks(server, *pages)) == []


async def test_a_lost_session_is_apologised_for_and_built_anew(start_server, installation, visit):
    async with hosted(elevenlabs=False) as there:
        server = start_server(**there.variables)
        agent_is(server, session="openai-realtime")
        there.realtime.answers.append(Says(GREETING))
        async with way_to(server.port) as way, visit(way.url) as caller:
            await answers(caller, None, GREETING)
            there.everything_fails()
            there.realtime.cut_session(1011, reason="quokkas ate the server")
            await answers(caller, "When are you open?", APOLOGY)
            await says_plainly(caller)
            there.realtime.began.clear()
            there.works_again()
            await there.realtime.began.wait()
            there.realtime.answers.append(Says(SHORT))
            await answers(caller, "Where can I park?", SHORT)
            _, apology, answer = [await caller.answer(n) for n in await responses(caller)]
            assert purity(apology) < 0.3
            assert pitch_hz(answer) == pytest.approx(OPENAI_HZ, abs=5)
            session = there.realtime.sessions[-1]
            await hangs_up(caller)
            await there.left_alone()
            pages = await the_review_tells(caller, way.url, installation, "Where can I park?")
    told = " ".join(str(item.get("content")) for item in session.items)
    for words in (GREETING, "When are you open?", "Where can I park?", SHORT):
        assert words in told, "the new session knows what was said before it"
    assert there.broken_rules() == []
    assert list(leaks(server, *pages)) == []


async def test_a_refused_key_is_nobodys_business(start_server, installation, visit):
    async with hosted() as there:
        there.models.key = "another"
        server = start_server(**there.variables)
        async with way_to(server.port) as way, visit(way.url) as caller:
            await answers(caller, None, APOLOGY)
            await says_plainly(caller)
            await answers(caller, "Where can I park?", APOLOGY)
            await hangs_up(caller)
            await there.left_alone()
            pages = await the_review_tells(caller, way.url, installation, "Where can I park?")
    assert ("openai", "auth") in outcomes(server)
    assert list(leaks(server, *pages)) == []


# The caller


def will_say(there: Hosted, *answers: str) -> None:
    there.models.answers.extend(says(answer) for answer in answers)


async def answers(caller: Visitor, question: str | None, answer: str) -> None:
    """Ask, by keyboard, or just call; the answer is read, and heard to its end."""
    if question is None:
        await caller.page.evaluate(TROUBLES)
        await caller.call()
    else:
        await caller.types(question)
        await caller.reads("caller", re.escape(question))
    before = len(await caller.received("audio_end"))
    count = sum(answer in item["text"] for item in (await caller.items()).values())
    await caller.reads("agent", re.escape(answer))
    await expect(caller.line("agent", re.escape(answer))).not_to_have_count(count)
    await caller.listens()
    assert len(await caller.received("audio_end")) >= before


async def says_plainly(caller: Visitor) -> None:
    """Whatever went wrong, the page said it in one sentence, which tells nothing of the inside."""
    await caller.page.wait_for_function("window.troubles.length > 0")
    said = await caller.page.evaluate("window.troubles")
    messages = [message["message"] for _, message in await caller.received("error")]
    assert said
    assert messages
    for sentence in (*said, *messages):
        assert PLAIN.fullmatch(sentence), sentence


async def hangs_up(caller: Visitor) -> dict:
    await caller.page.get_by_role("button", name="Hang up").click()
    await caller.sees(caller.page.get_by_role("heading", name="Call ended"))
    assert caller.complaints == []
    return await caller.items()


async def responses(caller: Visitor) -> list[int]:
    """The responses of the agent's words, in order."""
    items = await caller.items()
    return [item["response_id"] for item in items.values() if item["role"] == "agent"]


async def pitches_hz(caller: Visitor) -> list[float]:
    return [pitch_hz(await caller.answer(number)) for number in await responses(caller)]


def spectrum(sound: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.rfft(sound - sound.mean())) ** 2


def pitch_hz(sound: np.ndarray) -> float:
    """The loudest frequency."""
    return float(np.argmax(spectrum(sound)) * AGENT_RATE_HZ / sound.size)


def purity(sound: np.ndarray) -> float:
    """How much of the sound is the loudest frequency; a tone has almost 1."""
    power = spectrum(sound)
    top = int(np.argmax(power))
    return float(power[max(0, top - 20) : top + 21].sum() / power.sum())


# The record


def outcomes(server) -> set[tuple[str, str]]:
    """Who was asked, and what came of it."""
    rows = Stored(server.var_dir).rows("SELECT provider, outcome FROM calls_serviceuse")
    return {(row["provider"], row["outcome"]) for row in rows}


async def the_review_tells(caller: Visitor, url: str, installation, words: str) -> list[str]:
    """The reviewer sees that something was wrong; the pages that were looked at."""
    pages = [await caller.page.content()]
    reviewer = Reviewer(caller.page, url)
    await reviewer.log_in(installation.admin_password)
    await reviewer.open_conversation(words)
    page = caller.page
    await expect(page.locator(".trouble-fact")).to_contain_text("failed")
    await expect(page.locator("p.trouble").first).to_be_visible()
    pages.append(await page.content())
    for kind in ("JSON", "text"):
        link = page.get_by_role("link", name=f"Export as {kind}")
        pages.append(await (await reviewer.get(await link.get_attribute("href") or "")).text())
    return pages
