"""What OpenAI refuses, and in which words."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Problem = tuple[str, str | None, str | None]
"""Message, parameter, code."""

_SHARED = {
    "model", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls",
    "temperature", "top_p", "metadata", "service_tier", "store", "user", "prompt_cache_key",
    "safety_identifier", "top_logprobs",
}  # fmt: skip
_CHAT = _SHARED | {
    "messages", "max_completion_tokens", "max_tokens", "reasoning_effort", "verbosity",
    "response_format", "stop", "seed", "n", "logprobs", "presence_penalty", "frequency_penalty",
}  # fmt: skip
_RESPONSES = _SHARED | {
    "input", "instructions", "max_output_tokens", "max_tool_calls", "reasoning", "text",
    "previous_response_id", "include", "truncation", "background", "conversation",
}  # fmt: skip
_EVERY_SERVER = {
    "model", "messages", "stream", "tools", "temperature", "max_tokens", "response_format"
}  # fmt: skip


def unknown_to_some(body: Mapping[str, Any]) -> Problem | None:
    """The rule of a server that takes only what every server takes."""
    strange = sorted(body.keys() - _EVERY_SERVER)
    return (f"Extra inputs are not permitted: {strange[0]}", None, None) if strange else None


def chat_problem(body: Mapping[str, Any]) -> Problem | None:
    return _first(
        body, _known(body, _CHAT), _chat_needs, _streaming, _warmth, _chat_tools, _answered
    )


def responses_problem(body: Mapping[str, Any]) -> Problem | None:
    known = _known(body, _RESPONSES)
    return _first(body, known, _responses_needs, _streaming, _warmth, _flat_tools, _outputs)


def _first(
    body: Mapping[str, Any],
    problem: Problem | None,
    *rules: Callable[[Mapping[str, Any]], Problem | None],
) -> Problem | None:
    return problem or next((found for rule in rules if (found := rule(body))), None)


def _known(body: Mapping[str, Any], names: set[str]) -> Problem | None:
    strange = sorted(body.keys() - names)
    if not strange:
        return None
    return f"Unknown parameter: '{strange[0]}'.", strange[0], "unknown_parameter"


def _chat_needs(body: Mapping[str, Any]) -> Problem | None:
    if not body.get("model"):
        return "you must provide a model parameter", "model", None
    if not body.get("messages"):
        return "[] is too short - 'messages'", "messages", "empty_array"
    for place, message in enumerate(body["messages"]):
        if message.get("content") is None and not message.get("tool_calls"):
            where = f"messages.[{place}].content"
            return f"Invalid value for 'content': expected a string, got null: {where}", where, None
    return None


def _responses_needs(body: Mapping[str, Any]) -> Problem | None:
    if not body.get("model"):
        return "Missing required parameter: 'model'.", "model", "missing_required_parameter"
    if not body.get("input"):
        return "Missing required parameter: 'input'.", "input", "missing_required_parameter"
    return None


def _streaming(body: Mapping[str, Any]) -> Problem | None:
    if "stream_options" in body and not body.get("stream"):
        about = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        return about, "stream_options", None
    return None


def _warmth(body: Mapping[str, Any]) -> Problem | None:
    effort = body.get("reasoning_effort") or (body.get("reasoning") or {}).get("effort")
    reasons = re.match(r"o\d|gpt-[5-9]", body["model"]) is not None
    if reasons and "temperature" in body and effort != "none":
        about = "Unsupported parameter: 'temperature' is not supported with this model."
        return about, "temperature", "unsupported_parameter"
    if reasons and "max_tokens" in body:
        about = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
        return about, "max_tokens", "unsupported_parameter"
    if not reasons and effort:
        return "Unrecognized request argument: reasoning_effort", "reasoning_effort", None
    return None


def _chat_tools(body: Mapping[str, Any]) -> Problem | None:
    functions = [tool.get("function", {}) for tool in body.get("tools", ())]
    return next(filter(None, map(_tool, functions)), None)


def _flat_tools(body: Mapping[str, Any]) -> Problem | None:
    tools = body.get("tools", ())
    if any("strict" not in tool for tool in tools):
        about = "Missing required parameter: 'tools[0].strict'."
        return about, "tools[0].strict", "missing_required_parameter"
    return next(filter(None, map(_tool, tools)), None)


def _tool(tool: Mapping[str, Any]) -> Problem | None:
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool.get("name", "")):
        return "Invalid 'tools[0].name': string does not match pattern.", "tools", "invalid_value"
    if tool.get("strict") and not _strict(tool["parameters"]):
        return (
            f"Invalid schema for function '{tool['name']}'.",
            "tools",
            "invalid_function_parameters",
        )
    return None


def _strict(schema: Any) -> bool:
    """Structured outputs want every object closed, every field required, and no defaults."""
    if isinstance(schema, list):
        return all(map(_strict, schema))
    if not isinstance(schema, dict):
        return True
    fields = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False
    if schema.get("type") == "object" and not (
        closed and sorted(schema.get("required", [])) == sorted(fields)
    ):
        return False
    return "default" not in schema and all(map(_strict, [*fields.values(), *schema.values()]))


def _answered(body: Mapping[str, Any]) -> Problem | None:
    """Calls of a message are answered right after it, and nothing else is."""
    waiting: set[str] = set()
    for message in (*body["messages"], {"role": "end"}):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                about = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                return about, "messages", None
            waiting.discard(message["tool_call_id"])
        elif waiting:
            return (
                "An assistant message with 'tool_calls' must be followed by tool messages "
                "responding to each 'tool_call_id'. The following tool_call_ids did not have "
                f"response messages: {', '.join(sorted(waiting))}"
            ), "messages", None  # fmt: skip
        else:
            waiting = {call["id"] for call in message.get("tool_calls") or ()}
    return None


def _outputs(body: Mapping[str, Any]) -> Problem | None:
    items = body["input"] if isinstance(body["input"], list) else []
    called = list(_ids(items, "function_call"))
    answered = list(_ids(items, "function_call_output"))
    for call_id in called:
        if answered.count(call_id) != called.count(call_id):
            return f"No tool output found for function call {call_id}.", "input", None
    for call_id in answered:
        if call_id not in called:
            about = f"No tool call found for function call output with call_id {call_id}."
            return about, "input", None
    return None


def _ids(items: list[Any], kind: str) -> Iterator[str]:
    return (entry["call_id"] for entry in items if entry.get("type") == kind)
