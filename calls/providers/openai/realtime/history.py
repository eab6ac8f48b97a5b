"""The conversation as the other side has it, kept in step with ours.

Pure: it gives the messages that are to be sent, and takes it that they will be obeyed. Whatever
the other side lacks is told it as text, so a conversation survives its session.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from calls.domain.items import Item, ItemStatus, Role, Source
from calls.providers.openai.messages import INTERRUPTED

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """An item of the other side.

    Attributes:
        key: what it is of ours; several entries may belong to one answer. Empty: words of the
            caller that our conversation has not taken up yet.
        text: of what may differ from ours: the caller's words, given words, tool results.
    """

    key: str
    item_id: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What brings the other side in step, and what it will have then."""

    messages: tuple[Message, ...]
    entries: tuple[Entry, ...]
    last: str
    """Item of the other side that the conversation ends with; empty: none."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    key: str
    item: dict[str, Any]
    text: str = ""
    compared: bool = False


class History:
    """What the other side has, in its order."""

    def __init__(self) -> None:
        self._entries: tuple[Entry, ...] = ()
        self._numbers = count(1)
        self._missing: set[str] = set()
        self.version = 0
        """Changes with everything but what the model itself adds, and new words of the caller."""

    @property
    def item_ids(self) -> tuple[str, ...]:
        return tuple(entry.item_id for entry in self._entries)

    @property
    def behind(self) -> bool:
        """Whether the other side is known to lack something."""
        return bool(self._missing)

    # What comes into being on the other side

    def heard(self, item_id: str, text: str) -> None:
        """Words of the caller were understood."""
        self._add(Entry("", item_id, text))

    def answered(self, response_id: int, item_id: str) -> None:
        """The model says something as part of that answer."""
        self._add(Entry(answer_key(response_id), item_id))

    def called(self, tool_call_id: str, item_id: str) -> None:
        """The model asks for a tool."""
        self._add(Entry(_call_key(tool_call_id), item_id))

    def _add(self, entry: Entry) -> None:
        if entry.item_id not in self.item_ids:
            self._entries = (*self._entries, entry)

    # What we change

    def saying(self, response_id: int) -> None:
        """Given words are being said as that answer, or as a part of it."""
        key, stale = answer_key(response_id), f"stale:{response_id}"
        self._missing.add(key)
        self._entries = tuple(
            replace(entry, key=stale) if entry.key == key else entry for entry in self._entries
        )
        self.version += 1

    def said(self, response_id: int, text: str) -> tuple[Message, ...]:
        """Those words were heard to their end, and are all of that answer."""
        key = answer_key(response_id)
        if any(entry.key in (key, f"stale:{response_id}") for entry in self._entries):
            return ()
        self._missing.discard(key)
        item_id = self._new_id()
        self._add(Entry(key, item_id, text))
        self.version += 1
        return (_create({**_words("assistant", text), "id": item_id}),)

    def delete(self, item_id: str) -> tuple[Message, ...]:
        """Take that item away, known or not."""
        self._entries = tuple(e for e in self._entries if e.item_id != item_id)
        self.version += 1
        return (deletion(item_id),)

    def changed(self) -> None:
        """Something was cut: an answer begun before has seen too much."""
        self.version += 1

    def lost(self) -> None:
        """The other side has forgotten everything."""
        if self._entries:
            self._missing.add("all")
        self._entries = ()
        self.version += 1

    def clear(self) -> tuple[Message, ...]:
        """Take everything away."""
        messages = tuple(deletion(entry.item_id) for entry in self._entries)
        self.lost()
        self._missing.add("all")
        return messages

    # In step

    def plan(self, items: Sequence[Item]) -> Plan:
        """What makes the other side's conversation consist of `items`, and of nothing else."""
        bound, last_voice = _bound(self._entries, items)
        wanted = list(_wanted(items))
        keys = {entry.key: entry for entry in wanted}
        stale = [e for e in bound if not _kept(e, keys)]
        left = [e for e in bound if _kept(e, keys)]
        messages: list[Message] = [deletion(entry.item_id) for entry in stale]
        before = "root"
        for entry in wanted:
            there = [e.item_id for e in left if e.key == entry.key]
            if not there:
                there = [self._new_id()]
                messages.append(_insert(left, before, entry, there[0]))
            before = there[-1]
        return Plan(tuple(messages), tuple(left), last_voice if wanted else "")

    def follow(self, plan: Plan) -> None:
        """The messages of the plan are being sent."""
        self._entries = plan.entries
        self._missing.clear()
        if plan.messages:
            self.version += 1

    def _new_id(self) -> str:
        return f"ours_{next(self._numbers)}"


def answer_key(response_id: int) -> str:
    return f"answer:{response_id}"


def deletion(item_id: str) -> Message:
    return {"type": "conversation.item.delete", "item_id": item_id}


def _call_key(tool_call_id: str) -> str:
    return f"call:{tool_call_id}"


def _bound(entries: Sequence[Entry], items: Sequence[Item]) -> tuple[list[Entry], str]:
    """Words of the caller find their items, in order.

    Second is what the other side calls the latest item, if it has it.
    """
    bound = list(entries)
    known = {entry.key for entry in bound}
    for item in items:
        if item.role is not Role.USER or item.source is not Source.VOICE or _key(item) in known:
            continue
        text = item.text.strip()
        at = next((n for n, e in enumerate(bound) if not e.key and e.text == text), None)
        if at is not None:
            bound[at] = replace(bound[at], key=_key(item))
    latest = _key(items[-1]) if items else ""
    return bound, next((e.item_id for e in bound if e.key and e.key == latest), "")


def _kept(entry: Entry, wanted: Mapping[str, _Wanted]) -> bool:
    ours = wanted.get(entry.key)
    if ours is None:
        return False
    return not ours.compared or not entry.text or ours.text == entry.text


def _wanted(items: Sequence[Item]) -> Iterator[_Wanted]:
    seen: set[str] = set()
    for n, item in enumerate(items):
        key = _key(item) or f"place:{n}:{item.role.value}:{item.text}"
        if key in seen:
            continue
        seen.add(key)
        if item.role is Role.TOOL:
            yield _Wanted(key, _call(item))
            result = _result(item)
            yield _Wanted(f"result:{item.tool_call_id}", result, result["output"], compared=True)
        elif item.role is Role.USER:
            yield _Wanted(key, _words("user", item.text))
        elif item.role is Role.SYSTEM:
            yield _Wanted(key, _words("system", item.text))
        else:
            cut = item.status is ItemStatus.INTERRUPTED
            words = _words("assistant", item.text + (INTERRUPTED if cut else ""))
            yield _Wanted(key, words, item.text, compared=True)


def _key(item: Item) -> str:
    """Empty for words that were put in place of the conversation."""
    if item.role is Role.TOOL:
        return _call_key(item.tool_call_id)
    if item.role is Role.AGENT and item.response_id is not None:
        return answer_key(item.response_id)
    return f"item:{item.item_id}" if item.item_id else ""


def _insert(left: list[Entry], before: str, wanted: _Wanted, item_id: str) -> Message:
    """Put it after `before`; gives the message that does."""
    ids = [entry.item_id for entry in left]
    at = ids.index(before) + 1 if before in ids else 0
    left.insert(at, Entry(wanted.key, item_id, wanted.text))
    message = _create({**wanted.item, "id": item_id})
    return message if at == len(ids) else {**message, "previous_item_id": before}


def _create(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": dict(item)}


def _words(role: str, text: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _call(item: Item) -> dict[str, Any]:
    return {
        "type": "function_call",
        "call_id": item.tool_call_id,
        "name": item.tool_name,
        "arguments": item.arguments or "{}",
    }


def _result(item: Item) -> dict[str, Any]:
    running = item.status is ItemStatus.IN_PROGRESS
    nothing = {"status": "still running"} if running else {"error": "The tool gave no result."}
    output = item.text or json.dumps(nothing)
    return {"type": "function_call_output", "call_id": item.tool_call_id, "output": output}
