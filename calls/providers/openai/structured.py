"""Data by a schema from a language model, checked before anybody uses it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from openai import Timeout

from calls.domain.events import Stage
from calls.ports.errors import ProviderFault
from calls.providers.openai.address import Server
from calls.providers.openai.client import client
from calls.providers.openai.faults import CAUGHT, fault, provider_error
from calls.providers.openai.profile import fits_strict, profile

TIMEOUT = Timeout(connect=3, read=40, write=5, pool=2)
"""Seconds. Nobody waits on the telephone, and the answer comes in one piece."""

PROBLEM_CHARS = 500

_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_STRING_OR_LAST_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])', re.DOTALL)
_NO_JSON = "It is not JSON."


async def complete_json(
    server: Server,
    model: str,
    messages: Sequence[Mapping[str, Any]],
    *,
    schema: Mapping[str, Any],
    name: str,
    stage: Stage = Stage.LLM,
) -> Any:
    """The model's answer as data that fits the schema; once it is told what does not fit.

    Args:
        messages: in the words of chat completions.
        name: of the schema: letters, digits, `_` and `-`.

    Raises:
        ProviderError: INVALID when the second answer does not fit either.
    """
    talk = [dict(message) for message in messages]
    for _ in range(2):
        try:
            text = await _asked(server, model, talk, _by_schema(server, schema, name))
        except CAUGHT as error:
            raise provider_error(error, provider=server.provider, stage=stage) from None
        value, problem = checked(text, schema)
        if not problem:
            return value
        talk += [{"role": "assistant", "content": text}, _complaint(problem)]
    raise fault(ProviderFault.INVALID, provider=server.provider, stage=stage)


def checked(text: str, schema: Mapping[str, Any]) -> tuple[Any, str]:
    """What the text says, and what is wrong with it; nothing if that is empty."""
    validator = Draft202012Validator(dict(schema))
    problem = _NO_JSON
    for value in _readings(text):
        found = next(validator.iter_errors(value), None)
        if found is None:
            return value, ""
        problem = f"At {found.json_path}: {found.message}"[:PROBLEM_CHARS]
    return None, problem


def _readings(text: str) -> Iterator[Any]:
    """The JSON in a text: all of it, what is fenced, or what lies between outer brackets.

    Commas before a closing bracket are left out; nothing else is repaired.
    """
    candidates = [text, *_FENCED.findall(text)]
    candidates += [
        text[text.find(first) : text.rfind(last) + 1]
        for first, last in ("{}", "[]")
        if first in text
    ]
    for candidate in candidates:
        for written in (candidate, _STRING_OR_LAST_COMMA.sub(_string_only, candidate)):
            try:
                yield json.loads(written, parse_constant=_no_constant)
            except (ValueError, RecursionError):
                continue
            break


def _string_only(found: re.Match[str]) -> str:
    return "" if found.group() == "," else found.group()


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _complaint(problem: str) -> dict[str, Any]:
    content = f"That does not fit. {problem} Answer with the whole JSON again, and nothing else."
    return {"role": "user", "content": content}


def _by_schema(server: Server, schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not profile(server.profile).json_schema:
        return {}
    named = {"name": name, "strict": fits_strict(schema), "schema": dict(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


async def _asked(
    server: Server, model: str, messages: list[dict[str, Any]], options: dict[str, Any]
) -> str:
    """The answer's text; a server that refuses the schema is asked without."""
    try:
        return await _completed(server, model, messages, options)
    except CAUGHT as error:
        if not options or getattr(error, "status_code", None) not in (400, 422):
            raise
    return await _completed(server, model, messages, {})


async def _completed(
    server: Server, model: str, messages: list[dict[str, Any]], options: dict[str, Any]
) -> str:
    completions: Any = (await client(server)).chat.completions
    answer = await completions.create(model=model, messages=messages, timeout=TIMEOUT, **options)
    return (answer.choices[0].message.content or "") if answer.choices else ""
