"""An answer of chat completions out of its pieces, as real servers send them."""

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from calls.ports.errors import ProviderFault
from calls.ports.speech import ToolCallRequested
from calls.ports.usage import note

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"

HANDLED_FIELDS = frozenset({"content", "refusal", "tool_calls", "function_call"})
IGNORED_FIELDS = frozenset({"role", "audio", "annotations"})
"""Of a delta or a message. Fields beyond these, such as a model's reasoning, are not looked at."""


_FAULTS = {
    "": ProviderFault.TRUNCATED,
    "content_filter": ProviderFault.REFUSED,
    "error": ProviderFault.UNAVAILABLE,
}


@dataclass(slots=True)
class _Call:
    tool_call_id: str
    name: str = ""
    arguments: str = ""


class ToolCalls:
    """Collects fragments.

    Servers leave the index or the id out, or give two calls the same one: a new id is a new call,
    then the index counts, then the last call that there is.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}

    def take(self, fragment: Any) -> None:
        """Take `choices[0].delta.tool_calls[i]`, or a whole call of an answer in one piece."""
        self._add(getattr(fragment, "function", None), fragment)

    def take_function(self, function: Any) -> None:
        """Take the only call, in the old form that has neither id nor index."""
        self._add(function, None)

    def requests(self) -> list[ToolCallRequested]:
        """The calls, in the order in which they began."""
        return [ToolCallRequested(c.tool_call_id, c.name, c.arguments) for c in self._calls]

    def _add(self, function: Any, fragment: Any) -> None:
        name = text_at(function, "name")
        call = self._call_of(text_at(fragment, "id"), figure(fragment, "index"), name)
        # Some servers say the whole name again with every fragment.
        if name != call.name:
            call.name += name
        call.arguments += text_at(function, "arguments")

    def _call_of(self, call_id: str, index: int | None, name: str) -> _Call:
        last = self._calls[-1] if self._calls else None
        known = self._by_index.get(index) if index is not None else last
        if known is not None and _begins_another(known, call_id, index, name):
            known = None
        if known is None:
            known = _Call(self._unused(call_id))
            self._calls.append(known)
        if index is not None:
            self._by_index[index] = known
        return known

    def _unused(self, call_id: str) -> str:
        used = {call.tool_call_id for call in self._calls}
        return call_id if call_id and call_id not in used else new_call_id()


def new_call_id() -> str:
    """For a call that came without an id of its own."""
    return f"call_{secrets.token_hex(8)}"


def _begins_another(known: _Call, call_id: str, index: int | None, name: str) -> bool:
    if call_id:
        return call_id != known.tool_call_id
    return index is None and bool(name and known.name)


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


class ChatAnswer:
    """Takes the pieces of one answer.

    Attributes:
        finish: the reason why it ended; empty: it has not.
        error: what the server said went wrong; None: nothing.
    """

    def __init__(self) -> None:
        self.finish = ""
        self.error: Any = None
        self._spoke = False
        self._calls = ToolCalls()
        self._aloud = Aloud()

    @property
    def over(self) -> bool:
        return bool(self.finish)

    def take(self, piece: Any) -> str:
        """Take a chunk, or the whole; gives what of it is said."""
        note_tokens(getattr(piece, "usage", None))
        choices = getattr(piece, "choices", None)
        for choice in choices[:1] if isinstance(choices, list) else ():
            message = getattr(choice, "message", None)
            self.finish = text_at(choice, "finish_reason") or ("stop" if message else "")
            return self._said(message or getattr(choice, "delta", None))
        return ""

    def end(self) -> str:
        """What was held back."""
        return self._spoken(self._aloud.end())

    def calls(self) -> list[ToolCallRequested]:
        return self._calls.requests()

    def fault(self) -> ProviderFault | None:
        """What is wrong with it now that nothing more comes."""
        if self.finish in _FAULTS:
            return _FAULTS[self.finish]
        cut = self.finish == "length"
        return calls_fault(self.calls(), cut=cut, spoke=self._spoke)

    def _said(self, delta: Any) -> str:
        fragments = getattr(delta, "tool_calls", None)
        for fragment in fragments if isinstance(fragments, list) else ():
            self._calls.take(fragment)
        if (function := getattr(delta, "function_call", None)) is not None:
            self._calls.take_function(function)
        words = "".join(_texts(getattr(delta, "content", None)))
        return self._spoken(self._aloud.take(words) + text_at(delta, "refusal"))

    def _spoken(self, text: str) -> str:
        self._spoke = self._spoke or bool(text)
        return text


def calls_fault(
    calls: Sequence[ToolCallRequested], *, cut: bool, spoke: bool
) -> ProviderFault | None:
    """What is wrong with an answer's calls; `cut` means that it became too long."""
    if any(not call.name for call in calls):
        return ProviderFault.INVALID
    if cut and (not _is_json(calls[-1].arguments) if calls else not spoke):
        return ProviderFault.TRUNCATED
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def note_tokens(usage: Any) -> None:
    """Tell what an answer came to. Look-alikes leave out any of it."""
    inside, outside = "prompt_tokens_details", "completion_tokens_details"
    note(
        input_tokens=figure(usage, "prompt_tokens"),
        cached_tokens=figure(usage, inside, "cached_tokens"),
        output_tokens=figure(usage, "completion_tokens"),
        reasoning_tokens=figure(usage, outside, "reasoning_tokens"),
    )


def text_at(value: Any, name: str) -> str:
    """The text of that attribute; an object as JSON; empty for anything else."""
    text = getattr(value, name, None)
    if isinstance(text, dict):
        return json.dumps(text)
    return text if isinstance(text, str) else ""


def figure(value: Any, *path: str) -> int | None:
    """The whole number at the end of that path of attributes, if there is one."""
    for name in path:
        value = getattr(value, name, None)
    return value if isinstance(value, int) else None


def _texts(content: Any) -> Iterator[str]:
    """The words: a text, or parts of which some are texts."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        parts = (part for part in content if isinstance(part, dict) and part.get("type") == "text")
        yield from (str(part.get("text") or "") for part in parts)
