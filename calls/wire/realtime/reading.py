"""Fields of client events: typed, bounded, and refused by their path."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from calls.wire.fields import all_storable, storable
from calls.wire.realtime.refusal import invalid, missing

TEXT_CHARS = 200_000
ID_CHARS = 64
DEPTH = 50


@dataclass(frozen=True, slots=True)
class Fields:
    """An object that a client sent, and where it lies in the event.

    Every getter takes null for absent unless it says otherwise, and raises `Refusal`.
    """

    values: Mapping[str, Any]
    path: str = ""

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Whether the field is there, be it null."""
        return key in self.values

    def text(self, key: str, *, most: int = TEXT_CHARS) -> str | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > most or not storable(value):
            raise invalid(self.at(key), f"text of at most {most} characters")
        return value

    def required(self, key: str, *, most: int = TEXT_CHARS) -> str:
        value = self.text(key, most=most)
        if value is None:
            raise missing(self.at(key))
        return value

    def name(self, key: str) -> str | None:
        """An identifier: not empty, short."""
        value = self.text(key, most=ID_CHARS)
        if value == "":
            raise invalid(self.at(key), f"text of 1 to {ID_CHARS} characters")
        return value

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str | None:
        value = self.values.get(key)
        if value is not None and value not in allowed:
            raise invalid(self.at(key), "one of " + ", ".join(f"`{name}`" for name in allowed))
        return value

    def number(self, key: str, *, least: float, most: float) -> float | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise invalid(self.at(key), f"a number from {least} to {most}")
        if not least <= value <= most:
            raise invalid(self.at(key), f"a number from {least} to {most}")
        return value

    def whole(self, key: str, *, least: int = 0, most: int = 2**53) -> int | None:
        value = self.values.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise invalid(self.at(key), f"a whole number from {least} to {most}")
        return value

    def flag(self, key: str) -> bool | None:
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise invalid(self.at(key), "true or false")
        return value

    def inner(self, key: str) -> "Fields | None":
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise invalid(self.at(key), "an object")
        return Fields(value, self.at(key))

    def inner_or_empty(self, key: str) -> "Fields":
        return self.inner(key) or Fields({}, self.at(key))

    def objects(self, key: str, *, most: int) -> tuple["Fields", ...] | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) > most:
            raise invalid(self.at(key), f"a list of at most {most} objects")
        inner = []
        for place, entry in enumerate(value):
            path = f"{self.at(key)}[{place}]"
            if not isinstance(entry, dict):
                raise invalid(path, "an object")
            inner.append(Fields(entry, path))
        return tuple(inner)

    def plain(self, key: str) -> dict[str, Any] | None:
        """Any JSON object that a record can hold."""
        inner = self.inner(key)
        if inner is None:
            return None
        if not _shallow(inner.values) or not all_storable(inner.values):
            raise invalid(self.at(key), "an object, nested no deeper than 50, without NUL")
        return dict(inner.values)


def _shallow(value: Any) -> bool:
    """What nests deeper than this cannot be written as surely as it was read."""
    level = [value]
    for _ in range(DEPTH):
        inner = (
            entry.values() if isinstance(entry, dict) else entry
            for entry in level
            if isinstance(entry, dict | list)
        )
        level = [deeper for entries in inner for deeper in entries]
    return not level
