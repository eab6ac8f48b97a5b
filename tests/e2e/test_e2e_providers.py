"""Calls on hosted services, which stand-ins play: what the caller hears, sees and leaves behind."""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.doubles.providers.openai_http import calls_tool, says
from tests.doubles.providers.openai_realtime import CallsTool, Hear, Says
from tests.e2e.hosted import Hosted, agent_is, hosted, leaks
from tests.e2e.reviewing import Reviewer
from tests.e2e.visitor import HEARD_RMS, Visitor
from tests.e2e.way import way_to
from tests.server.stored import Stored

pytestmark = [pytest.mark.browser, pytest.mark.asyncio, pytest.mark.timeout(180)]

SPEECH = (10_500, "hours", 4_300, "friday", 8_500, "goodbye")
HOURS = "What are your opening hours?"
FRIDAY = "Wait, what are your opening hours on Friday?"
GOODBYE = "Thank you, goodbye."
GREETING = "Hello, this is Maple Street. How can I help you?"
LONG = (
    "We are open from Monday to Friday, from nine to five. At weekends we are closed, and so we "
    "are on public holidays."
)
SHORT = "On Friday we are open from nine to five."
FAREWELL = "You are welcome. Goodbye!"
MS_PER_CHAR = 60
WORD_MS = 12 * MS_PER_CHAR
CUT_MS = 150
"""So exactly the provider remembers what the page has played."""

SEEN = r"""() => {
  window.seen = [];
  setInterval(() => {
    const root = document.querySelector("voice-call");
    for (const line of (root.shadowRoot ?? root).querySelectorAll(".vc-line[data-who=caller]")) {
      const text = line.innerText.replace(/^You\s*:\s*/, "");
      if (window.seen.at(-1) !== text) window.seen.push(text);
    }
  }, 30);
}"""

Items = dict[int, dict[str, Any]]


async def test_a_call_on_elevenlabs_and_openai(start_server, installation, visit):
    async with hosted() as there:
        server = start_server(**there.variables)
        there.ears.hears.extend([HOURS, FRIDAY, GOODBYE])
        there.models.answers.extend(scripted())
        async with way_to(server.port) as way, visit(way.url, *SPEECH) as caller:
            items = await the_call(caller)
            partial_words_were_shown(await caller.page.evaluate("window.seen"), HOURS)
            [ready] = [message for _, message in await caller.received("ready")]
            await there.left_alone()
            pages = await the_review(caller, way.url, installation.admin_password, items)
            assert caller.complaints == []
    assert ready["providers"] == {
        "stt": "elevenlabs:scribe_v2_realtime",
        "llm": "openai:gpt-6-luna",
        "tts": "elevenlabs:eleven_flash_v2_5",
    }
    assert there.broken_rules() == []
    assert len(there.ears.commits) == 3
    assert there.ears.most_sockets == 1
    assert len(there.voice.sockets) == 1
    stages = the_uses(server, ready["call_id"])
    assert {stage: {p for p, _ in used} for stage, used in stages.items()} == {
        "stt": {"elevenlabs"},
        "llm": {"openai"},
        "tts": {"elevenlabs"},
    }
    assert list(leaks(server, *pages)) == []


async def test_a_call_on_openai_alone(start_server, installation, visit):
    async with hosted(elevenlabs=False) as there:
        server = start_server(**there.variables)
        there.realtime.hears.extend([in_words(HOURS), in_words(FRIDAY), in_words(GOODBYE)])
        there.models.answers.extend(scripted())
        async with way_to(server.port) as way, visit(way.url, *SPEECH) as caller:
            items = await the_call(caller)
            partial_words_were_shown(await caller.page.evaluate("window.seen"), HOURS)
            [ready] = [message for _, message in await caller.received("ready")]
            await there.left_alone()
            pages = await the_review(caller, way.url, installation.admin_password, items)
            assert caller.complaints == []
    assert ready["providers"] == {
        "stt": "openai:gpt-live-transcribe",
        "llm": "openai:gpt-6-luna",
        "tts": "openai:gpt-realtime-2.1-mini",
    }
    assert there.broken_rules() == []
    stages = the_uses(server, ready["call_id"])
    assert set(stages) == {"stt", "llm", "tts"}
    assert len(stages["tts"]) == 1
    assert list(leaks(server, *pages)) == []


@pytest.mark.parametrize("turns", ["ours", "server_vad"])
async def test_one_model_hears_and_speaks(start_server, installation, visit, turns):
    async with hosted(elevenlabs=False) as there:
        server = start_server(**there.variables)
        agent_is(server, session="openai-realtime", turn_detection=turns)
        there.realtime.hears.extend([HOURS, FRIDAY, GOODBYE])
        there.realtime.answers.extend(
            [
                spoken(GREETING),
                spoken(LONG),
                CallsTool("opening_hours", '{"day": "Friday"}'),
                spoken(SHORT),
                spoken(FAREWELL),
            ]
        )
        async with way_to(server.port) as way, visit(way.url, *SPEECH) as caller:
            items = await the_call(caller)
            [ready] = [message for _, message in await caller.received("ready")]
            await the_provider_remembers_what_was_heard(there, caller, items)
            await there.left_alone()
            pages = await the_review(caller, way.url, installation.admin_password, items)
            assert caller.complaints == []
    assert there.broken_rules() == []
    model = "openai:gpt-realtime-2.1"
    assert ready["providers"] == {"stt": "openai:gpt-transcribe", "llm": model, "tts": model}
    assert "voice" in the_uses(server, ready["call_id"])
    assert list(leaks(server, *pages)) == []


# What is said


def scripted():
    return [
        says(*re.findall(r"\S+\s*", GREETING)),
        says(*re.findall(r"\S+\s*", LONG)),
        calls_tool("opening_hours", {"day": "Friday"}),
        says(*re.findall(r"\S+\s*", SHORT)),
        says(*re.findall(r"\S+\s*", FAREWELL)),
    ]


def spoken(text: str) -> Says:
    return Says(*re.findall(r"\S+\s*", text))


def in_words(text: str) -> Hear:
    """As it is understood while it is said: a word, and then nothing for a while."""
    words = re.findall(r"\S+\s*", text)
    return Hear(text, tuple(part for word in words for part in (word, *[""] * 7)))


# What comes of it


async def the_call(caller: Visitor) -> Items:
    """Greeting, a question, its answer interrupted by another, a tool, goodbye; by voice alone."""
    await caller.page.evaluate(SEEN)
    await caller.call()
    await caller.reads("agent", re.escape(GREETING))
    await caller.reads("caller", re.escape(HOURS))
    await caller.reads("agent", "We are open from Monday")
    await caller.reads("caller", re.escape(FRIDAY))
    await caller.reads("tool", "Opening hours")
    await caller.reads("agent", re.escape(SHORT))
    await caller.reads("caller", re.escape(GOODBYE))
    await caller.reads("agent", re.escape(FAREWELL))
    await caller.listens()
    items = await settled_items(caller)
    await the_page_was_heard(caller, items)
    await caller.page.get_by_role("button", name="Hang up").click()
    await caller.sees(caller.page.get_by_role("heading", name="Call ended"))
    assert await caller.received("error") == []
    the_words(items)
    return items


async def settled_items(caller: Visitor) -> Items:
    """All of them, as soon as the page knows how each answer ended."""
    for _ in range(100):
        items = await caller.items()
        if all(item["ended_ms"] is not None for item in items.values() if item["role"] == "agent"):
            break
        await caller.page.wait_for_timeout(50)
    return items


def the_words(items: Items) -> None:
    agent = [item for item in items.values() if item["role"] == "agent"]
    user = [item["text"] for item in items.values() if item["role"] == "user"]
    assert user == [HOURS, FRIDAY, GOODBYE]
    assert [item["text"] + item["unheard"] for item in agent] == [GREETING, LONG, SHORT, FAREWELL]
    assert [item["status"] for item in agent] == [
        "complete",
        "interrupted",
        "complete",
        "complete",
    ]
    assert agent[1]["text"]
    assert agent[1]["unheard"]
    [tool] = [item for item in items.values() if item["role"] == "tool"]
    assert '"opens": "09:00"' in tool["text"]


async def the_page_was_heard(caller: Visitor, items: Items) -> None:
    """What was cut off is cut where the page fell silent, to the word; it was heard until then."""
    output = await caller.output()
    agent = [item for item in items.values() if item["role"] == "agent"]
    begin_ms = min(item["started_ms"] for item in agent)
    first = next(n for n, sample in enumerate(output.samples) if sample)
    shift_ms = first * 1000 // output.rate_hz - begin_ms
    for item in agent:
        heard = output.level(shift_ms + item["started_ms"], shift_ms + item["ended_ms"])
        assert heard > HEARD_RMS, item
    cut = agent[1]
    played_ms = await acknowledged_ms(caller, cut["response_id"])
    assert played_ms - WORD_MS < len(cut["text"]) * MS_PER_CHAR <= played_ms + CUT_MS


async def acknowledged_ms(caller: Visitor, response_id: int) -> int:
    """How much of that response the page has said, in the end, that it played."""
    said = [*await caller.sent("played"), *await caller.sent("cut")]
    reports = [report for report in said if report["response_id"] == response_id]
    return max(report["played_ms"] for report in reports)


def partial_words_were_shown(seen: list[str], whole: str) -> None:
    """The caption grew while the caller spoke."""
    growing = [text for text in seen if text and whole.startswith(text) and text != whole]
    assert len(set(growing)) >= 2, seen


async def the_provider_remembers_what_was_heard(
    there: Hosted, caller: Visitor, items: Items
) -> None:
    """Its conversation is cut where the page fell silent, and else the same as ours."""
    [session] = [s for s in there.realtime.sessions if s.config["type"] == "realtime"]
    said = [
        item for item in session.items if item["type"] == "message" and item["role"] == "assistant"
    ]
    assert len(said) == 4
    [cut] = [item for item in items.values() if item["status"] == "interrupted"]
    played_ms = await acknowledged_ms(caller, cut["response_id"])
    assert abs(said[1]["audio_ms"] - played_ms) <= CUT_MS
    whole_ms = [len(text) * MS_PER_CHAR for text in (GREETING, SHORT, FAREWELL)]
    assert [said[n]["audio_ms"] for n in (0, 2, 3)] == pytest.approx(whole_ms, abs=CUT_MS)


def the_uses(server, call_id: str) -> dict[str, set[tuple[str, str]]]:
    """Provider and model of every request of the call, by stage; all of them well told of."""
    stored = Stored(server.var_dir)
    stored.ended(call_id)
    query = "SELECT * FROM calls_serviceuse WHERE conversation_id = ?"
    stages: dict[str, set[tuple[str, str]]] = {}
    for use in stored.rows(query, call_id):
        assert use["outcome"] in ("ok", "cancelled"), use
        assert use["usage"] != "{}" or use["outcome"] == "cancelled", use
        assert use["model"], use
        stages.setdefault(use["stage"], set()).add((use["provider"], use["model"]))
    return stages


async def the_review(caller: Visitor, url: str, password: str, items: Items) -> list[str]:
    """A reviewer finds the words and the services and no trouble; the pages that were looked at."""
    pages = [await caller.page.content()]
    reviewer = Reviewer(caller.page, url)
    await reviewer.log_in(password)
    await reviewer.open_conversation(FRIDAY)
    for number, item in items.items():
        if item["role"] != "tool":
            unheard = f" Not heard: {item['unheard'].strip()}" if item["unheard"] else ""
            assert await reviewer.words(number) == item["text"].strip() + unheard
    page = caller.page
    await expect(page.locator(".summary .method")).to_contain_text("gpt-6-luna")
    await expect(page.locator(".totals")).to_contain_text("openai", ignore_case=True)
    await expect(page.locator(".trouble, .trouble-fact, .use.failed")).to_have_count(0)
    await expect(page.locator(".facts")).to_contain_text("Interruptions1")
    pages.append(await page.content())
    await page.goto(f"{url}/admin/calls/agent/1/change/")
    return [*pages, await page.content()]
