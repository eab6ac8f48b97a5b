"""Tools that the client answers itself: known by name, and not waited for for ever."""

import json
from collections.abc import Callable, Iterable

from calls.domain.effects import RunTool
from calls.domain.events import ToolFinished
from calls.ports.clock import Clock

CLIENT_TOOL_MS = 60_000
"""How long a client may take for a tool: it may have to ask a person, and a caller who hears
nothing for a minute has hung up."""

CLIENT_TOOLS = 128
"""So many names at most: what the largest models take in one request."""


class ClientTools:
    """Which tools are the client's, and which of them it owes an answer.

    Args:
        post: tells the call that one was not answered in time.
    """

    def __init__(self, clock: Clock, post: Callable[[ToolFinished], None]) -> None:
        self._clock = clock
        self._post = post
        self._offered: frozenset[str] = frozenset()
        self._expected: frozenset[str] = frozenset()
        self._owed: dict[str, Callable[[], None]] = {}

    def offer(self, names: Iterable[str]) -> None:
        """These are the session's from now on, in place of those before."""
        self._offered = frozenset(_bounded(names))

    def expect(self, names: Iterable[str]) -> None:
        """These are as well, for the answer that is asked for now."""
        self._expected = frozenset(_bounded(names))

    def wait_for(self, order: RunTool) -> bool:
        """Whether it is the client's; then somebody has to post `ToolFinished` for it in time."""
        if order.name not in self._offered | self._expected:
            return False
        self.answered(order.tool_call_id)
        due_ms = self._clock.now_ms() + CLIENT_TOOL_MS
        forget = self._clock.call_at(due_ms, lambda: self._too_late(order.tool_call_id))
        self._owed[order.tool_call_id] = forget
        return True

    def answered(self, tool_call_id: str) -> None:
        """It is not waited for any more. Tools that nobody waits for are ignored."""
        if (forget := self._owed.pop(tool_call_id, None)) is not None:
            forget()

    def close(self) -> None:
        for tool_call_id in tuple(self._owed):
            self.answered(tool_call_id)

    def _too_late(self, tool_call_id: str) -> None:
        self._owed.pop(tool_call_id, None)
        output = json.dumps({"error": "The tool took too long."})
        self._post(ToolFinished(tool_call_id=tool_call_id, output=output, failed=True))


def _bounded(names: Iterable[str]) -> list[str]:
    return [name for name, _ in zip(names, range(CLIENT_TOOLS), strict=False)]
