"""Reading JSON from strangers: bounded, typed, and with one error."""

import json
from math import isfinite
from typing import Any, NoReturn

from calls.domain.errors import ErrorCode
from calls.wire.base import WireError

MAX_INT = 2**53


def parse_object(text: str, *, max_bytes: int) -> dict[str, Any]:
    """The JSON object in `text`.

    Raises:
        WireError: too large (close code 4413), or not a JSON object; NaN and infinities are none.
    """
    if len(text) > max_bytes or len(text.encode(errors="replace")) > max_bytes:
        raise WireError(ErrorCode.TOO_LARGE, f"A message is at most {max_bytes} bytes.", 4413)
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise bad("The message is not valid JSON.") from None
    if not isinstance(value, dict):
        raise bad("The message is not a JSON object.")
    return value


def bad(message: str) -> WireError:
    return WireError(ErrorCode.BAD_MESSAGE, message)


def text_of(message: dict[str, Any], key: str, *, most: int, least: int = 0) -> str:
    """A text field, stripped of nothing; absent counts as empty."""
    value = message.get(key, "")
    if not isinstance(value, str) or not least <= len(value) <= most or not storable(value):
        raise bad(f"`{key}` must be text of {least} to {most} characters.")
    return value


def int_of(message: dict[str, Any], key: str, *, least: int = 0, most: int = MAX_INT) -> int:
    value = message.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise bad(f"`{key}` must be a whole number from {least} to {most}.")
    return value


def flag_of(message: dict[str, Any], key: str) -> bool:
    value = message.get(key)
    if not isinstance(value, bool):
        raise bad(f"`{key}` must be true or false.")
    return value


def object_of(message: dict[str, Any], key: str) -> dict[str, Any] | None:
    """A nested object; absent or null is None."""
    value = message.get(key)
    if value is not None and not isinstance(value, dict):
        raise bad(f"`{key}` must be an object or null.")
    return value


def storable(text: str) -> bool:
    """Whether every database takes it: no NUL, no half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def all_storable(value: Any) -> bool:
    """Whether every text in this JSON is, keys included."""
    rest = [value]
    while rest:
        match rest.pop():
            case str(text) if not storable(text):
                return False
            case dict(fields):
                rest += [*fields.keys(), *fields.values()]
            case list(entries):
                rest += entries
    return True


def without_nan(value: Any) -> Any:
    """The same with null for every number that JSON does not know."""
    match value:
        case float():
            return value if isfinite(value) else None
        case dict():
            return {key: without_nan(entry) for key, entry in value.items()}
        case list() | tuple():
            return [without_nan(entry) for entry in value]
    return value


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


def _finite(literal: str) -> float:
    value = float(literal)
    if not isfinite(value):
        raise ValueError
    return value
