"""Tool calls out of fragments, as real servers send them."""

import json
from dataclasses import dataclass
from typing import Any

from calls.ports.speech import ToolCallRequested

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"


@dataclass(slots=True)
class _Call:
    tool_call_id: str
    name: str = ""
    arguments: str = ""


class ToolCalls:
    """Collects fragments.

    Servers leave the index out, or give two calls the same one: a new id is a new call, then
    the index counts, then the last call that there is.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def take(self, fragment: Any) -> None:
        """Take `choices[0].delta.tool_calls[i]`, or a whole call of an answer in one piece."""
        call = self._call_of(fragment.id, getattr(fragment, "index", None))
        function = fragment.function
        if function is None:
            return
        call.name += function.name or ""
        arguments = function.arguments or ""
        call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def requests(self) -> list[ToolCallRequested]:
        """The calls, in the order in which they began."""
        return [ToolCallRequested(c.tool_call_id, c.name, c.arguments) for c in self._calls]

    def _call_of(self, call_id: str | None, index: int | None) -> _Call:
        known = self._by_index.get(index) if index is not None else None
        if known is None and index is None and not call_id and self._calls:
            known = self._calls[-1]
        if known is None or (call_id and call_id != known.tool_call_id):
            known = _Call(call_id or f"call_{len(self._calls) + 1}")
            self._calls.append(known)
        if index is not None:
            self._by_index[index] = known
        return known


class Aloud:
    """Leaves out what a model says to itself between `<think>` and `</think>`."""

    def __init__(self) -> None:
        self._thinking = False
        self._rest = ""

    def take(self, text: str) -> str:
        """What of the text so far may be said; the beginning of a mark waits for its end."""
        self._rest += text
        said = ""
        while self._rest:
            mark = THINK_CLOSE if self._thinking else THINK_OPEN
            before, found, after = self._rest.partition(mark)
            if found:
                said += "" if self._thinking else before
                self._thinking = not self._thinking
                self._rest = after
                continue
            kept = _begun(self._rest, mark)
            settled = self._rest[: len(self._rest) - kept]
            said += "" if self._thinking else settled
            self._rest = self._rest[len(settled) :]
            break
        return said

    def end(self) -> str:
        """What waited for the rest of a mark that never came."""
        rest, self._rest = self._rest, ""
        return "" if self._thinking else rest


def _begun(text: str, mark: str) -> int:
    """How many characters at the end of the text may be the beginning of the mark."""
    longest = min(len(text), len(mark) - 1)
    return next((n for n in range(longest, 0, -1) if mark.startswith(text[-n:])), 0)
