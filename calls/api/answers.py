"""Which answers an operation has, for the OpenAPI document."""

from typing import Any

from calls.api.shapes import Error

_ALWAYS = (401, 403, 413, 422, 500, 503)
_OF_BODIES = (400,)


def answers(model: Any, *more: int, status: int = 200, body: bool = False) -> dict[int, Any]:
    """The status of success with its model, and the errors that it may be instead."""
    errors = (*_ALWAYS, *more, *(_OF_BODIES if body else ()))
    return {status: model, **dict.fromkeys(sorted(errors), Error)}
