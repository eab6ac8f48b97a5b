"""Somebody at the page: what they see, what they hear, and when the page did what."""

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from playwright.async_api import Locator, Page, expect

from tests.doubles.output_probe import Output
from tests.e2e.microphone import RATE_HZ, Utterance
from tests.e2e.sound import place

PATIENCE_MS = 20_000
"""For what takes speech, or a machine that is busy."""
AGENT_RATE_HZ = 24_000
HEARD_RMS = 0.01
"""Louder than this, the agent is heard."""
ONSET_TO_SILENCE_MS = 300
CLEAR_TO_SILENCE_MS = 150
_SEARCH_MS = 500
_AROUND_MS = 2_000
_STATE = "document.querySelector('voice-call').stats"


@dataclass(frozen=True, slots=True)
class Interruption:
    """How fast the page fell silent, by the page's own clocks.

    Silent means: no sound is rendered any more, and what was has left for the loudspeaker.
    """

    onset_to_silence_ms: float
    """From the first sound of the caller's speech in the microphone."""
    clear_to_silence_ms: float
    """From the arrival of the server's decision."""

    @property
    def quick(self) -> bool:
        return (
            self.onset_to_silence_ms <= ONSET_TO_SILENCE_MS
            and self.clear_to_silence_ms <= CLEAR_TO_SILENCE_MS
        )


class Visitor:
    """A page of the product in Chromium."""

    def __init__(self, page: Page, complaints: list[str]) -> None:
        self.page = page
        self.complaints = complaints
        """What the browser said was wrong, by all pages that were opened."""

    # The call

    @property
    def lines(self) -> Locator:
        return self.page.locator(".vc-line")

    def line(self, who: str, text: str) -> Locator:
        """A caption by `caller`, `agent` or `tool` that has this text."""
        words = re.compile(text, re.IGNORECASE)
        return self.page.locator(f".vc-line[data-who={who}]").filter(has_text=words)

    async def sees(self, what: Locator) -> None:
        await expect(what.first).to_be_visible(timeout=PATIENCE_MS)

    async def reads(self, who: str, text: str) -> None:
        """Wait for such a caption."""
        await self.sees(self.line(who, text))

    async def call(self) -> None:
        await self.page.get_by_role("button", name="Call Demo agent").click()

    async def types(self, text: str) -> None:
        field = self.page.get_by_label("Type a message to Demo agent")
        await field.fill(text)
        await field.press("Enter")

    async def stats(self) -> dict[str, Any]:
        return await self.page.evaluate(_STATE)

    async def until(self, condition: Callable[[dict[str, Any]], bool], timeout_s: int = 20) -> None:
        """Wait for something to come true of the page's figures."""
        for _ in range(timeout_s * 20):
            stats = await self.stats()
            if condition(stats):
                return
            await self.page.wait_for_timeout(50)
        raise AssertionError(f"waited in vain: {stats}")

    async def listens(self) -> None:
        """It is the caller's turn, and everything that was said is on the record."""
        await self.until(
            lambda stats: stats["phase"] == "listening" and stats["output"] is not None
        )

    # What went on

    async def output(self) -> Output:
        """Everything that came out of the page."""
        read = await self.page.evaluate("window.tap.output()")
        return Output(read["rateHz"], _samples(read["samples"]), read["clearFrames"])

    async def answer(self, response_id: int) -> np.ndarray:
        """All sound that the server sent of a response, over all sockets, at `AGENT_RATE_HZ`."""
        asked = [response_id, AGENT_RATE_HZ]
        return _samples(await self.page.evaluate("(asked) => window.tap.answer(...asked)", asked))

    async def received(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        """Messages of that type with the time of their arrival, by `performance.now()`."""
        messages = await self.page.evaluate("window.tap.received")
        return [(at_ms, message) for at_ms, message in messages if message["type"] == kind]

    async def sent(self, kind: str) -> list[dict[str, Any]]:
        messages = await self.page.evaluate("window.tap.sent")
        return [message for _, message in messages if message["type"] == kind]

    async def items(self) -> dict[int, dict[str, Any]]:
        """The entries of the conversation as the page has them last."""
        return {m["item"]["id"]: m["item"] for _, m in await self.received("item")}

    async def interruption(self, name: str) -> Interruption:
        """How fast the voice stopped when the caller began this utterance, the last `clear`."""
        cleared_ms = (await self.received("clear"))[-1][0]
        output = await self.output()
        clear_frame = output.clear_frames[-1]
        search = output.samples[clear_frame : clear_frame + _SEARCH_MS * output.rate_hz // 1000]
        last = int(np.flatnonzero(search)[-1]) if search.any() else 0
        rendered_ms = cleared_ms + last * 1000 / output.rate_hz
        silent_ms = max(rendered_ms, (await self.stats())["last_clear"]["silent_at"])
        onset_ms = await self._onset_ms(name, cleared_ms)
        return Interruption(round(silent_ms - onset_ms, 1), round(silent_ms - cleared_ms, 1))

    async def _onset_ms(self, name: str, cleared_ms: float) -> float:
        """When the utterance began in the microphone, by `performance.now()`.

        It is looked for in what the page sent. A frame is sent when its last sample is there; the
        quickest of them tells the time at which a sample was heard.
        """
        utterance = Utterance.named(name)
        read = await self.page.evaluate("window.tap.microphone()")
        sound = _samples(read["samples"])
        heard = np.zeros(max(position + size for _, position, size in read["rows"]))
        at = 0
        zeros_ms = []
        for at_ms, position, size in read["rows"]:
            heard[position : position + size] = sound[at : at + size]
            at += size
            if abs(at_ms - cleared_ms) < _AROUND_MS:
                zeros_ms.append(at_ms - (position + size) * 1000 / RATE_HZ)
        began = place(utterance.samples, heard)[0] + utterance.onset
        return min(zeros_ms) + began * 1000 / RATE_HZ


def _samples(packed: str) -> np.ndarray:
    return np.frombuffer(b64decode(packed), dtype="<i2").astype(np.int32)
