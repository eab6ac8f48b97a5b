"""Somebody of the staff, in the admin."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playwright.async_api import APIResponse, Page, expect

from tests.e2e.recording import Recording

_POLLS = 80
_POLL_MS = 250
_AUDIO = "document.querySelector('.player audio')"
_WAITS = """() => [...document.querySelectorAll('.waits li[id]')].map((wait) => ({
  turn: Number(wait.id.replace('wait-', '')),
  shown: wait.querySelector('strong').textContent,
  stages_ms: [...wait.querySelectorAll('.parts b')].map((part) => parseInt(part.textContent)),
  widths: [...wait.querySelectorAll('.bars rect')].map((bar) => Number(bar.getAttribute('width'))),
}))"""


@dataclass(frozen=True, slots=True)
class Wait:
    """The silence before an answer, as the review page draws it."""

    turn: int
    shown: str
    stages_ms: list[int]
    widths: list[float]
    """In percent of the longest wait, or of a second."""

    @property
    def shown_ms(self) -> float:
        """The length that is written beside the bars, which is rounded from a second on."""
        number, unit = self.shown.split()
        return float(number) * (1000 if unit == "s" else 1)


class Reviewer:
    """Reads conversations in the admin, by its pages alone.

    Args:
        page: of a browser; it may have shown anything before.
        url: of the server.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    async def log_in(self, password: str) -> None:
        """As the administrator that was made at the beginning."""
        await self.page.goto(f"{self.url}/admin/")
        await self.page.get_by_label("Username").fill("admin")
        await self.page.get_by_label("Password").fill(password)
        await self.page.get_by_role("button", name="Log in").click()
        await expect(self.page.get_by_role("heading", name="Site administration")).to_be_visible()

    async def open_conversation(self, words: str) -> None:
        """Find the one conversation in which this was said, and open it, summary and all."""
        await self.page.get_by_role("link", name="Conversations").first.click()
        await self.page.locator("#searchbar").fill(f'"{words}"')
        await self.page.keyboard.press("Enter")
        await self.page.wait_for_url(re.compile(r"[?&]q="))
        await self.page.locator("#result_list tbody th a").click()
        await expect(self.page.locator(".review.playable")).to_be_visible()
        for _ in range(_POLLS):
            if await self.page.locator(".summary .method").count():
                return
            await self.page.wait_for_timeout(_POLL_MS)
            await self.page.reload()
        raise AssertionError("no summary was written")

    async def words(self, item_id: int) -> str:
        """What an entry of the transcript says."""
        return _plain(await self.page.locator(f"#item-{item_id} .words").text_content() or "")

    async def waits(self) -> list[Wait]:
        """The silences before the answers, in their order."""
        return [Wait(**found) for found in await self.page.evaluate(_WAITS)]

    async def plays(self, ms: int) -> int:
        """Play so much of the recording; how long the browser says that all of it is."""
        await self.page.get_by_role("button", name="Play", exact=True).click()
        await self._until(lambda state: state["currentTime"] * 1000 > ms)
        await self.page.get_by_role("button", name="Pause", exact=True).click()
        state = await self._until(lambda state: state["paused"])
        assert state["error"] is None
        return round(state["duration"] * 1000)

    async def recording(self) -> Recording:
        """What the player plays; a part of it can be had as well."""
        source = await self.page.locator(".player audio").get_attribute("src")
        whole = await (await self.get(source or "")).body()
        part = await self.get(source or "", Range="bytes=44-143")
        assert (part.status, await part.body()) == (206, whole[44:144])
        return Recording.read(whole)

    async def get(self, path: str, **headers: str) -> APIResponse:
        """Fetch something as the browser would."""
        response = await self.page.request.get(f"{self.url}{path}", headers=headers)
        assert response.ok
        return response

    async def _until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for the player. Text cannot be evaluated in the page: its policy forbids that."""
        state: dict[str, Any] = {}
        for _ in range(_POLLS):
            state = await self.page.evaluate(
                f"(({{currentTime, paused, duration, error}}) => ({{currentTime, paused, duration,"
                f" error: error && error.message}}))({_AUDIO})"
            )
            if condition(state):
                return state
            await self.page.wait_for_timeout(_POLL_MS)
        raise AssertionError(f"the player never came to that: {state}")


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
