"""What may enter a column: text that every database takes, numbers that fit."""

import math
from collections.abc import Mapping
from typing import Any

LARGEST_INTEGER = 2**31 - 1
DEEPEST = 32
"""Nesting of stored JSON; what lies deeper is left out."""


def clean_text(text: str, max_length: int | None = None) -> str:
    """`text` without what a database or UTF-8 refuses: NULs and lone surrogates.

    Args:
        max_length: characters to keep; None: all.
    """
    if "\x00" in text:
        text = text.replace("\x00", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode(errors="replace").decode()
    return text[:max_length]


def clean_json(value: Any, depth: int = DEEPEST) -> Any:
    """`value` as JSON that every database takes.

    Text is cleaned, NaN and infinities become null, what JSON does not know becomes text.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {
            clean_text(str(key)): clean_json(entry, depth - 1)
            for key, entry in value.items()
            if depth
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [clean_json(entry, depth - 1) for entry in value if depth]
    return clean_text(str(value))


def clean_integer(value: int) -> int:
    """`value` within 0 and what a 32-bit column holds."""
    return max(0, min(LARGEST_INTEGER, value))
