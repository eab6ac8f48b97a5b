"""What servers that speak OpenAI's protocol understand of it. Only what a profile names is sent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What may be sent; the defaults are what every server takes.

    Attributes:
        stream_usage: `stream_options.include_usage`.
        obfuscation: the switch for the padding that OpenAI adds to every event.
        parallel_tool_calls: the parameter of that name.
        tool_choice: the parameter of that name; without it the model chooses itself.
        reasoning_effort: the parameter of that name; in Responses, `reasoning.effort`.
        reasoning_rules: the models are OpenAI's own, for which `reasoning` knows the rules.
        verbosity: the parameter of that name; in Responses, `text.verbosity`.
        strict_tools: `strict` in tools whose schema allows it.
        json_schema: `response_format` with a schema; who refuses it is asked without.
        answer_limit: the name of chat completions for the length of an answer.
        keywords: of transcription: words to expect.
        languages: of transcription: `languages` in place of `language`.
        prompt: of transcription: what was said before.
        transcript_stream: of transcription: `stream`.
        instructions: of speech: how to say it.
        speech_stream: of speech: `stream_format`.
    """

    stream_usage: bool = False
    obfuscation: bool = False
    parallel_tool_calls: bool = False
    tool_choice: bool = False
    reasoning_effort: bool = False
    reasoning_rules: bool = False
    verbosity: bool = False
    strict_tools: bool = False
    json_schema: bool = True
    answer_limit: str = "max_tokens"
    keywords: bool = False
    languages: bool = False
    prompt: bool = True
    transcript_stream: bool = False
    instructions: bool = False
    speech_stream: bool = False


PROFILES: Mapping[str, Profile] = {
    "openai": Profile(
        stream_usage=True,
        obfuscation=True,
        parallel_tool_calls=True,
        tool_choice=True,
        reasoning_effort=True,
        reasoning_rules=True,
        verbosity=True,
        strict_tools=True,
        answer_limit="max_completion_tokens",
        keywords=True,
        languages=True,
        transcript_stream=True,
        instructions=True,
        speech_stream=True,
    ),
    "ollama": Profile(stream_usage=True, reasoning_effort=True),
    "vllm": Profile(
        stream_usage=True, parallel_tool_calls=True, tool_choice=True, reasoning_effort=True
    ),
    "localai": Profile(),
    "speaches": Profile(speech_stream=True),
    "kokoro": Profile(),
    "llamacpp": Profile(stream_usage=True),
    "lmstudio": Profile(stream_usage=True),
    "groq": Profile(
        stream_usage=True,
        parallel_tool_calls=True,
        tool_choice=True,
        reasoning_effort=True,
        answer_limit="max_completion_tokens",
    ),
    "generic": Profile(),
}


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: there is none; the message names those there are.
    """
    if (found := PROFILES.get(name)) is None:
        raise ValueError(f"No profile is called {name!r}. Known are: {', '.join(PROFILES)}.")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """What a model of OpenAI's takes.

    Attributes:
        reasons: it takes an effort.
        effort: the least it can do, for who waits on the telephone; empty: its own choice.
        temperature_with: the efforts with which it takes a temperature.
        verbosity: it takes one.
    """

    reasons: bool = True
    effort: str = ""
    temperature_with: frozenset[str] = frozenset()
    verbosity: bool = False


_PLAIN = Reasoning(reasons=False, temperature_with=frozenset({""}))
_SWITCHABLE = Reasoning(effort="none", temperature_with=frozenset({"none"}), verbosity=True)

_RULES: tuple[tuple[str, Reasoning], ...] = (
    # names that begin so                         what they take
    (r"o\d",                                      Reasoning(effort="low")),
    (r"gpt-5(\.\d+)?-chat",                       _PLAIN),
    (r"gpt-5(-mini|-nano)?(-20\d\d-\d\d-\d\d)?$", Reasoning(effort="minimal", verbosity=True)),
    (r"gpt-([5-9]|\d\d)(\.\d+)?-(pro|codex)",     Reasoning()),
    (r"gpt-([5-9]|\d\d)",                         _SWITCHABLE),
    (r"",                                         _PLAIN),
)  # fmt: skip


def reasoning(model: str) -> Reasoning:
    """The rules for a model of OpenAI's, fine-tuned ones included."""
    base = model.removeprefix("ft:").partition(":")[0]
    return next(rule for begin, rule in _RULES if re.match(begin, base))


@dataclass(frozen=True, slots=True)
class Style:
    """What a model is asked for beside words. A value of None, or an empty one, is not sent."""

    temperature: float | None = None
    effort: str = ""
    verbosity: str = ""


def style(
    profile: Profile, model: str, *, temperature: float | None, reasoning_effort: str
) -> Style:
    """What of the wishes may be sent to that model; where its rules are known, what it needs."""
    if not profile.reasoning_rules:
        effort = reasoning_effort if profile.reasoning_effort else ""
        return Style(temperature, effort)
    rule = reasoning(model)
    effort = (reasoning_effort or rule.effort) if rule.reasons else ""
    return Style(
        temperature if effort in rule.temperature_with else None,
        effort,
        "low" if rule.verbosity and profile.verbosity else "",
    )


_STRICT_WORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "description"}
    | {"anyOf", "const", "title"}
)


def fits_strict(schema: Any) -> bool:
    """Whether a tool's schema keeps to what `strict` allows: every field is required and named."""
    if isinstance(schema, list):
        return all(fits_strict(entry) for entry in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties", {})
    if not schema.keys() <= _STRICT_WORDS or not isinstance(properties, Mapping):
        return False
    if schema.get("type") == "object" and not (
        schema.get("additionalProperties") is False
        and set(schema.get("required", ())) == set(properties)
    ):
        return False
    inner = (*properties.values(), schema.get("items"), schema.get("anyOf"))
    return all(fits_strict(entry) for entry in inner)
