"""The network fails in mid-call: the page comes back into the same call by itself."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from calls.audio.resample import Resampler
from tests.e2e.microphone import RATE_HZ
from tests.e2e.recording import AGENT, CALLER, Recording
from tests.e2e.sound import place, utterances
from tests.e2e.visitor import AGENT_RATE_HZ, Visitor
from tests.e2e.way import Way, way_to
from tests.server.stored import Stored

pytestmark = [pytest.mark.browser, pytest.mark.asyncio, pytest.mark.timeout(180)]

QUESTION = "What are your opening hours?"
ANSWER = "We are open from Monday to Friday, from nine to five. At weekends we are closed."
OUTAGE_MS = 1_500
BREATH_MS = 1_000
"""Between what is said: longer than any pause within it."""
HALVES_MS = 40
"""So exactly two halves are as long as the whole: their ends fade, and times are rounded."""
ALIKE = 0.98

Stats = dict[str, Any]


async def test_nothing_is_said_twice(start_server, visit):
    server = start_server()
    async with way_to(server.port) as way, visit(way.url) as caller:
        await caller.call()
        await asks(caller)
        await answered(caller, times=1)
        await asks(caller)
        await outage(caller, way, lambda stats: playing(stats, response_id=3, played_ms=1_500))
        await answered(caller, times=2)
        await caller.page.wait_for_timeout(BREATH_MS)
        output = await caller.output()
        answer = await caller.answer(3)
        reports = [report for report in await caller.sent("played") if report["response_id"] == 3]
        items = await caller.items()
        assert await caller.lines.count() == len(items)
        assert (await caller.stats())["socketLosses"] == 1
        await caller.page.get_by_role("button", name="Hang up").click()
        call_id = await came_back(caller)
        stored = Stored(server.var_dir)
        assert stored.ended(call_id)["end_reason"] == "caller_hung_up"

    assert {item["status"] for item in items.values()} == {"complete"}
    said = [item["text"] for item in items.values() if item["turn"]]
    assert said == [QUESTION, ANSWER, QUESTION, ANSWER]
    played_ms = [report["played_ms"] for report in reports]
    assert played_ms == sorted(played_ms)
    the_record_has_the_same(stored, call_id, items)
    the_same_with_a_pause(output.samples, answer, AGENT_RATE_HZ)
    resampler = Resampler(AGENT_RATE_HZ, RATE_HZ)
    answer = np.frombuffer(
        resampler.feed(answer.astype("<i2").tobytes()) + resampler.flush(), "<i2"
    )
    the_same_with_a_pause(recorded(stored, call_id).channels[AGENT], answer, RATE_HZ)


async def test_what_is_said_meanwhile_is_not_lost(start_server, visit):
    server = start_server()
    async with way_to(server.port) as way, visit(way.url, 10_500, "hours") as caller:
        await caller.call()
        await outage(caller, way, lambda stats: stats.get("framesSent", 0) > 10_300 // 32, ms=2_500)
        await caller.reads("caller", "what are your opening hours")
        await answered(caller, times=1)
        stats = await caller.stats()
        await caller.page.get_by_role("button", name="Hang up").click()
        call_id = await came_back(caller)
        stored = Stored(server.var_dir)
        stored.ended(call_id)

    assert stats["framesSentAgain"] > OUTAGE_MS // 32
    assert stats["framesDropped"] == 0
    assert len(recorded(stored, call_id).utterances(CALLER)) == 1


async def asks(caller: Visitor) -> None:
    await caller.listens()
    await caller.page.wait_for_timeout(BREATH_MS)
    await caller.types(QUESTION)


async def answered(caller: Visitor, times: int) -> None:
    """Wait until the answer was heard so often, and is on the record."""
    await caller.sees(caller.line("agent", "At weekends we are closed").nth(times - 1))
    await caller.listens()


def playing(stats: Stats, response_id: int, played_ms: int) -> bool:
    output = stats["output"]
    return output["responseId"] == response_id and output["playedMs"] > played_ms


async def outage(
    caller: Visitor, way: Way, when: Callable[[Stats], bool], ms: int = OUTAGE_MS
) -> None:
    """Cut every connection as soon as that is true, and let the page come back later."""
    await caller.until(when)
    way.cut()
    await caller.until(lambda stats: stats["stage"] == "reconnecting")
    await caller.page.wait_for_timeout(ms)
    way.mend()
    await caller.until(lambda stats: stats["stage"] == "live")


async def came_back(caller: Visitor) -> str:
    """The call that it came back into is the one that it was in."""
    ready, again = [message for _, message in await caller.received("ready")]
    assert (ready["resumed"], again["resumed"]) == (False, True)
    assert again["call_id"] == ready["call_id"]
    return str(ready["call_id"])


def the_record_has_the_same(stored: Stored, call_id: str, items: dict[int, Stats]) -> None:
    kept = ("role", "text", "unheard", "status", "turn", "started_ms", "ended_ms")
    rows = stored.items(call_id)
    assert {n: [row[name] for name in kept] for n, row in rows.items()} == {
        n: [item[name] for name in kept] for n, item in items.items()
    }


def recorded(stored: Stored, call_id: str) -> Recording:
    stored.until(lambda: stored.recording(call_id)["state"] == "complete")
    file = stored.var_dir / "recordings" / stored.recording(call_id)["path"]
    return Recording.read(file.read_bytes())


def the_same_with_a_pause(heard: np.ndarray, answer: np.ndarray, rate_hz: int) -> None:
    """At the end of `heard` is the answer, in two halves: not a syllable more or less."""
    first_span, second_span = utterances(heard, rate_hz)[-2:]
    assert second_span[0] - first_span[1] >= OUTAGE_MS
    first, second = (cut(heard, span, rate_hz) for span in (first_span, second_span))
    whole = cut(answer, utterances(answer, rate_hz)[0], rate_hz)
    margin = np.zeros(HALVES_MS * rate_hz // 1000)
    framed = np.concatenate([margin, whole, margin])
    (first_at, first_likeness), (second_at, second_likeness) = (
        place(half, framed) for half in (first, second)
    )
    gap_ms = (second_at - first_at - len(first)) * 1000 / rate_hz
    assert min(first_likeness, second_likeness) > ALIKE
    assert abs(gap_ms) <= HALVES_MS
    assert abs(len(first) + len(second) - len(whole)) * 1000 / rate_hz <= HALVES_MS


def cut(samples: np.ndarray, span_ms: tuple[int, int], rate_hz: int) -> np.ndarray:
    begin_ms, end_ms = span_ms
    return samples[begin_ms * rate_hz // 1000 : end_ms * rate_hz // 1000]
