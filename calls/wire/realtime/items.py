"""The conversation's items as the client knows them: a bounded copy, for asking and naming."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from calls.domain.events import EntryRemoved
from calls.wire.realtime.refusal import NOT_FOUND, Refusal, missing
from calls.wire.realtime.writing import Names, Out

MOST_ITEMS = 2_000
MOST_CHARS = 8_000_000
"""Beyond either, the oldest items are forgotten here; the conversation keeps them."""

_BETA_CONTENT = {"output_text": "text", "output_audio": "audio"}


@dataclass(slots=True)
class Entry:
    """One item, as the GA writes it, and how the call names it.

    Attributes:
        fields: `id` and everything else that the client is shown.
        named: what `EntryRemoved` says of it; empty: the call does not know it.
        response_id: of the agent's words.
        offset_ms: where its sound begins within the sound of that response.
        sound_ms: how much of it was sent.
    """

    fields: dict[str, Any]
    named: dict[str, Any] = field(default_factory=dict)
    response_id: int | None = None
    offset_ms: int = 0
    sound_ms: int = 0

    @property
    def item_id(self) -> str:
        return str(self.fields["id"])

    @property
    def text(self) -> str:
        """All words of it, for counting."""
        said = [part.get("text") or part.get("transcript") or "" for part in self.parts]
        called = (self.fields.get(key, "") for key in ("arguments", "output"))
        return "".join((*said, *called))

    @property
    def parts(self) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = self.fields.get("content", [])
        return parts

    def removal(self) -> EntryRemoved | None:
        return EntryRemoved(**self.named) if self.named else None


class Items:
    """In the order of the conversation."""

    def __init__(self, out: Out, names: Names) -> None:
        self._out = out
        self._names = names
        self._entries: dict[str, Entry] = {}
        self._sizes: dict[str, int] = {}
        self._chars = 0

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def new_id(self) -> str:
        """One that no client has taken."""
        while (item_id := self._names.next("item")) in self._entries:
            pass
        return item_id

    @property
    def last_id(self) -> str | None:
        return next(reversed(self._entries), None)

    def get(self, item_id: str | None, param: str = "item_id") -> Entry:
        """The item of that name.

        Raises:
            Refusal: there is none, or no name was given.
        """
        if item_id is None:
            raise missing(param)
        if (entry := self._entries.get(item_id)) is None:
            raise Refusal(NOT_FOUND, "There is no such item in the conversation.", param)
        return entry

    def has_call(self, call_id: str) -> bool:
        """Whether a function was called under that name."""
        return self.call_of(call_id) is not None

    def call_of(self, call_id: str) -> Entry | None:
        return next((entry for entry in self if _calls(entry, call_id)), None)

    def add(self, entry: Entry, *, done: bool) -> None:
        """Append it and tell; without `done` the GA hears of its completion later."""
        before = self.last_id
        self._entries[entry.item_id] = entry
        self._measure(entry)
        name = "conversation.item.added" if self._out.is_ga else "conversation.item.created"
        self._out.put(name, previous_item_id=before, item=self.shown(entry))
        if done and self._out.is_ga:
            self._out.put("conversation.item.done", previous_item_id=before, item=self.shown(entry))
        self._forget()

    def complete(self, entry: Entry) -> None:
        """It is made: the GA is told so; the beta is not."""
        self._measure(entry)
        if self._out.is_ga:
            before = self._before(entry.item_id)
            self._out.put("conversation.item.done", previous_item_id=before, item=self.shown(entry))

    def remove(self, item_id: str) -> Entry:
        """Take it out.

        Raises:
            Refusal: it is not there.
        """
        entry = self.get(item_id)
        del self._entries[item_id]
        self._chars -= self._sizes.pop(item_id)
        return entry

    def shown(self, entry: Entry) -> dict[str, Any]:
        """As the client's dialect has it."""
        fields = dict(entry.fields)
        if self._out.is_ga or "content" not in fields:
            return fields
        parts = (
            part | {"type": _BETA_CONTENT.get(part["type"], part["type"])} for part in entry.parts
        )
        return fields | {"content": list(parts)}

    def _measure(self, entry: Entry) -> None:
        size = len(entry.text)
        self._chars += size - self._sizes.get(entry.item_id, 0)
        self._sizes[entry.item_id] = size

    def _before(self, item_id: str) -> str | None:
        before = None
        for known in self._entries:
            if known == item_id:
                break
            before = known
        return before

    def _forget(self) -> None:
        while len(self._entries) > MOST_ITEMS or (
            self._chars > MOST_CHARS and len(self._entries) > 1
        ):
            self.remove(next(iter(self._entries)))


def _calls(entry: Entry, call_id: str) -> bool:
    fields = entry.fields
    return fields["type"] == "function_call" and fields.get("call_id") == call_id
