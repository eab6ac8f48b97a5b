"""Somebody in front of a page with a call in it."""

import re
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import FrameLocator, Locator, Page, expect

PATIENCE_MS = 15_000
SPY = """(() => {
  self.spy = { microphone: [], violations: [] };
  const devices = navigator.mediaDevices;
  if (devices) {
    const real = devices.getUserMedia.bind(devices);
    devices.getUserMedia = (wanted) => {
      spy.microphone.push(navigator.userActivation.hasBeenActive);
      return real(wanted);
    };
  }
  document.addEventListener("securitypolicyviolation", (event) => {
    spy.violations.push(`${event.effectiveDirective} ${event.blockedURI}`);
  });
  // As browsers do with frames of other sites whose storage they block.
  if (self !== top) {
    for (const name of ["localStorage", "sessionStorage", "indexedDB", "caches"]) {
      Object.defineProperty(self, name, {
        get() { throw new DOMException("blocked", "SecurityError"); },
      });
    }
  }
})();"""
EVENTS = """([selector, names]) => {
  self.heard = [];
  for (const name of names) {
    document.addEventListener(name, ({ detail, target }) => heard.push([name, detail, target.id]));
  }
}"""
NAMES = (
    "voice-call-ready",
    "call-start",
    "call-state",
    "call-item",
    "call-end",
    "call-error",
    "call-token-needed",
)


@dataclass(slots=True)
class Guest:
    """A page, and what the browser said of it.

    Attributes:
        console: warnings and errors that no test has read yet.
        violations: of a security policy that the test expects.
    """

    page: Page
    console: list[str] = field(default_factory=list)
    violations: int = 0

    @property
    def element(self) -> Locator:
        return self.page.locator("voice-call").first

    @property
    def frame(self) -> FrameLocator:
        return self.page.frame_locator("iframe").first

    async def defined(self) -> None:
        """The script has run."""
        await self.page.evaluate("customElements.whenDefined('voice-call').then(() => null)")

    async def listen(self) -> None:
        """Write down the element's events from now on."""
        await self.page.evaluate(EVENTS, ["", NAMES])

    async def events(self, name: str) -> list[Any]:
        heard = await self.page.evaluate("self.heard")
        return [detail for event, detail, _ in heard if event == name]

    async def heard(self, name: str, count: int = 1) -> list[Any]:
        """The details of so many events of that name, waited for."""
        asked = "([name, count]) => heard.filter(([event]) => event === name).length >= count"
        await self.page.wait_for_function(asked, arg=[name, count], timeout=PATIENCE_MS)
        return await self.events(name)

    async def reaches(self, stage: str, selector: str = "voice-call") -> None:
        asked = "([s, stage]) => document.querySelector(s).stage === stage"
        await self.page.wait_for_function(asked, arg=[selector, stage], timeout=PATIENCE_MS)

    async def opens(self, label: str = "Talk to us") -> None:
        await self.page.get_by_role("button", name=label, exact=True).click()

    async def calls(self, frame: FrameLocator | None = None) -> None:
        """Press the button of the call, and wait for the agent's first words."""
        frame = frame or self.frame
        await frame.get_by_role("button", name="Call Demo agent").click()
        greeting = frame.locator(".vc-line[data-who=agent]").filter(has_text=re.compile("Hello"))
        await expect(greeting.first).to_be_visible(timeout=PATIENCE_MS)

    async def speaks(self) -> None:
        """The microphone's sound goes out."""
        sent = "(element) => element.stats.framesSent"
        before = await self.frame.locator("voice-call").evaluate(sent)
        for _ in range(100):
            if await self.frame.locator("voice-call").evaluate(sent) > before + 5:
                return
            await self.page.wait_for_timeout(50)
        raise AssertionError("nothing is sent")

    async def hangs_up(self, frame: FrameLocator | None = None) -> None:
        frame = frame or self.frame
        await frame.get_by_role("button", name="Hang up").click()
        await expect(frame.get_by_role("heading", name="Call ended")).to_be_visible()

    async def said(self, *parts: str) -> None:
        """Read the console: exactly these lines, in any order, each by a part of it."""
        for _ in range(100):
            if len(self.console) >= len(parts):
                break
            await self.page.wait_for_timeout(50)
        for part in parts:
            [line] = [line for line in self.console if part in line]
            self.console.remove(line)
        assert self.console == [], self.console

    def forget_the_browser(self) -> None:
        """What it said itself is not to be read."""
        self.console = [line for line in self.console if line.startswith("voice-call")]

    async def left_nothing(self) -> None:
        assert self.console == [], self.console
        violations = []
        for frame in self.page.frames:
            spy = await frame.evaluate("self.spy")
            violations += spy["violations"]
            assert all(spy["microphone"]), "the microphone was asked for before a click"
        assert len(violations) == self.violations, violations
        assert await self.page.context.cookies() == []
