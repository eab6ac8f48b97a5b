"""Python annotations as JSON schema, and values checked against them."""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin


class UnfitError(Exception):
    """A value is not what its parameter takes; the text ends a sentence about it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a parameter takes.

    `read` gives the value as the function gets it, or raises `UnfitError`.
    """

    schema: Mapping[str, Any]
    read: Callable[[Any], Any]


def kind_of(annotation: Any) -> Kind:
    """What an annotation takes: str, int, float, bool, list, dict, Literal, Optional, Annotated.

    Raises:
        TypeError: another annotation.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return _described(annotation)
    if origin is Literal:
        return _literal(get_args(annotation))
    if origin in (Union, types.UnionType):
        return _optional(annotation)
    if annotation is list or origin is list:
        return _list(*get_args(annotation))
    try:
        return _PLAIN[origin or annotation]
    except (KeyError, TypeError):
        raise TypeError(f"{annotation} is not an annotation that tools know") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnfitError("must be text")
    return value


def _whole_number(value: Any) -> int:
    # Models write 3.0 where they mean 3.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnfitError("must be a whole number")
    return value


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UnfitError("must be a number")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnfitError("must be true or false")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnfitError("must be an object")
    return value


_PLAIN: Mapping[Any, Kind] = {
    str: Kind({"type": "string"}, _text),
    int: Kind({"type": "integer"}, _whole_number),
    float: Kind({"type": "number"}, _number),
    bool: Kind({"type": "boolean"}, _flag),
    dict: Kind({"type": "object"}, _object),
    Any: Kind({}, lambda value: value),
}


def _described(annotation: Any) -> Kind:
    inner, *notes = get_args(annotation)
    kind = kind_of(inner)
    description = " ".join(note for note in notes if isinstance(note, str))
    if not description:
        return kind
    return Kind({**kind.schema, "description": description}, kind.read)


def _literal(choices: tuple[Any, ...]) -> Kind:
    if not all(isinstance(choice, str | int | bool) for choice in choices):
        raise TypeError("a Literal of a tool holds texts, whole numbers and booleans")
    names = ", ".join(map(str, choices))

    def read(value: Any) -> Any:
        for choice in choices:
            if value == choice and isinstance(value, bool) is isinstance(choice, bool):
                return choice
        raise UnfitError(f"must be one of: {names}")

    return Kind({"enum": list(choices)}, read)


def _optional(annotation: Any) -> Kind:
    kinds = [choice for choice in get_args(annotation) if choice is not types.NoneType]
    if len(kinds) != 1 or len(kinds) == len(get_args(annotation)):
        raise TypeError(f"{annotation}: of unions, tools know only those with None")
    kind = kind_of(kinds[0])
    schema = {"anyOf": [kind.schema, {"type": "null"}]}
    return Kind(schema, lambda value: None if value is None else kind.read(value))


def _list(item: Any = Any) -> Kind:
    kind = kind_of(item)

    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise UnfitError("must be a list")
        try:
            return [kind.read(entry) for entry in value]
        except UnfitError as fault:
            raise UnfitError(f"must be a list of which every entry {fault}") from None

    return Kind({"type": "array", "items": kind.schema}, read)
