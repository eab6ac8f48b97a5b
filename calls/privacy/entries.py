"""Entries of a conversation without personal data: their words, their marks, their JSON."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from calls.domain.items import Item, Mark, Role
from calls.privacy.passages import Kind, Passage, masked
from calls.privacy.recognising import personal

_NAMED = {
    Kind.EMAIL: r"e[-_ ]?mail",
    Kind.PHONE: r"phone|mobile|telephone|telefon|handy|cell|fax|rufnummer",
    Kind.IBAN: r"iban|account_?(no|number)|konto",
    Kind.CARD: r"card|karte",
    Kind.BIRTH: r"birth|dob|geburt",
    Kind.ADDRESS: r"address|street|adresse|anschrift|strasse|straße|post_?code|zip|plz",
    Kind.NAME: r"(^|_)(first|last|sur|full|given|family|vor|nach|caller|customer|patient)?_?name$",
    Kind.NUMBER: r"ssn|passport|insurance_?(no|number)|tax_?(id|number)|pin$",
}
_NAMES = {kind: re.compile(words, re.IGNORECASE) for kind, words in _NAMED.items()}
_FEWEST_DIGITS = 9
"""From which on a number in JSON that has no telling name is somebody's."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """An entry without personal data.

    Attributes:
        item: as it is kept from now on.
        found: how many passages there were.
        spoken: the passages of what was said, in characters of the old text and what followed
            it unheard.
    """

    item: Item
    found: int
    spoken: tuple[Passage, ...] = ()


def entry_redacted(item: Item, *, asked: str = "") -> Redacted:
    """An entry without personal data.

    Args:
        asked: what the other side said last.
    """
    metadata, in_metadata = json_redacted(dict(item.metadata))
    arguments, in_arguments = text_redacted(item.arguments)
    rest = in_metadata + in_arguments
    if item.role is Role.TOOL:
        text, found = text_redacted(item.text)
        kept = replace(item, text=text, arguments=arguments, metadata=metadata)
        return Redacted(kept, found + rest)
    whole = item.text + item.unheard
    passages = personal(whole, asked=asked)
    clean = masked(whole, passages)
    end = _moved(len(item.text), passages)
    kept = replace(
        item,
        text=clean[:end],
        unheard=clean[end:],
        marks=tuple(Mark(_moved(m.end_char, passages), m.at_ms) for m in item.marks),
        arguments=arguments,
        metadata=metadata,
    )
    return Redacted(kept, len(passages) + rest, tuple(passages))


def _moved(char: int, passages: Sequence[Passage]) -> int:
    """Where a position lies after the passages have been replaced; inside one: behind it."""
    moved = char
    for passage in passages:
        if passage.start >= char:
            break
        moved += len(passage.kind.mask) - (min(char, passage.end) - passage.start)
    return moved


def text_redacted(text: str) -> tuple[str, int]:
    """A text, or JSON as text, without personal data; and how many passages there were."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict | list):
        kept, found = json_redacted(value)
        return (json.dumps(kept, ensure_ascii=False) if found else text), found
    passages = personal(text)
    return masked(text, passages), len(passages)


def json_redacted(value: Any, name: str = "") -> tuple[Any, int]:
    """JSON without personal data: what stands under a telling name goes whole."""
    if isinstance(value, Mapping):
        parts = {key: json_redacted(part, str(key)) for key, part in value.items()}
        return {key: kept for key, (kept, _) in parts.items()}, _found(parts.values())
    if isinstance(value, list):
        entries = [json_redacted(part, name) for part in value]
        return [kept for kept, _ in entries], _found(entries)
    if value is None or isinstance(value, bool) or value == "":
        return value, 0
    kind = next((kind for kind, pattern in _NAMES.items() if pattern.search(name)), None)
    if kind is not None:
        return (value, 0) if value == kind.mask else (kind.mask, 1)
    if isinstance(value, str):
        passages = personal(value)
        return masked(value, passages), len(passages)
    long = isinstance(value, int) and len(str(abs(value))) >= _FEWEST_DIGITS
    return (Kind.NUMBER.mask, 1) if long else (value, 0)


def _found(parts: Any) -> int:
    return sum(found for _, found in parts)
