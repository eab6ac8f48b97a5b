"""Answers as OpenAI writes them: chunks of chat completions, events of Responses, whole bodies."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.doubles.providers.openai_answers import Call, Quirk, Reply

CREATED = 1_763_600_000
Events = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class Writing:
    """One answer to one request.

    Attributes:
        number: of the request; ids are made of it.
        model: as asked for.
        prompt_tokens: what the request came to.
    """

    number: int
    model: str
    reply: Reply
    prompt_tokens: int
    cached_tokens: int = 0
    quirks: frozenset[Quirk] = field(default_factory=frozenset)

    @property
    def answer_tokens(self) -> int:
        written = [*self.reply.text.split(), *self.reply.refusal.split(), *self.reply.calls]
        return len(written) + self.reasoning_tokens

    @property
    def reasoning_tokens(self) -> int:
        return len(self.reply.thinking.split())

    def call_id(self, call: Call, position: int) -> str:
        return call.call_id or f"call_{self.number}_{position + 1}"


# Chat completions


def chat_usage(writing: Writing) -> dict[str, Any]:
    return {
        "prompt_tokens": writing.prompt_tokens,
        "completion_tokens": writing.answer_tokens,
        "total_tokens": writing.prompt_tokens + writing.answer_tokens,
        "prompt_tokens_details": {"cached_tokens": writing.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": writing.reasoning_tokens,
            "audio_tokens": 0,
        },
    }


def chat_chunks(writing: Writing, *, usage: bool, obfuscation: bool) -> Events:
    """Every chunk of a streamed answer, in order."""
    head = _chat_head(writing, "chat.completion.chunk")
    padding = {"obfuscation": "x8Kq2"} if obfuscation else {}
    unsaid = {"usage": None} if usage else {}
    for choices in _choices(writing):
        yield head | {"choices": choices} | unsaid | padding
    if usage:
        yield head | {"choices": [], "usage": chat_usage(writing)} | padding


def chat_whole(writing: Writing) -> dict[str, Any]:
    """The answer in one piece."""
    reply = writing.reply
    calls = [_whole_call(writing, *entry) for entry in enumerate(reply.calls)]
    message = {"role": "assistant", "content": reply.text or None, "refusal": reply.refusal or None}
    choice = {
        "index": 0,
        "message": message | ({"tool_calls": calls} if calls else {}),
        "logprobs": None,
        "finish_reason": _finish(writing),
    }
    head = _chat_head(writing, "chat.completion")
    return head | {"choices": [choice], "usage": chat_usage(writing)}


def _chat_head(writing: Writing, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl_{writing.number}",
        "object": kind,
        "created": CREATED,
        "model": writing.model,
        "service_tier": "default",
        "system_fingerprint": "fp_double",
    }


def _choices(writing: Writing) -> Iterator[list[dict[str, Any]]]:
    if Quirk.EMPTY_CHOICES in writing.quirks:
        yield []
    if Quirk.NULL_DELTA in writing.quirks:
        yield [_choice(None)]
    if writing.reply.deltas is None:
        yield [_choice({"role": "assistant", "content": "", "refusal": None})]
    for delta in _deltas(writing):
        yield [_choice(delta)]
    if Quirk.NO_FINISH not in writing.quirks:
        yield [_choice({}, _finish(writing))]


def _choice(delta: Mapping[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _finish(writing: Writing) -> str:
    by_tools = writing.reply.calls and Quirk.STOP_WITH_TOOLS not in writing.quirks
    return writing.reply.finish or ("tool_calls" if by_tools else "stop")


def _deltas(writing: Writing) -> Iterator[Mapping[str, Any]]:
    reply = writing.reply
    if reply.deltas is not None:
        yield from reply.deltas
        return
    if reply.thinking:
        yield {"reasoning_content": reply.thinking}
        yield {"reasoning": reply.thinking}
    if reply.refusal:
        yield {"refusal": reply.refusal}
    position = 0
    for part in reply.parts:
        if isinstance(part, str):
            yield {"content": part}
        else:
            yield from ({"tool_calls": [f]} for f in _fragments(writing, position, part))
            position += 1


def _fragments(writing: Writing, position: int, call: Call) -> Iterator[dict[str, Any]]:
    whole = _whole_call(writing, position, call)
    if Quirk.NO_INDEX in writing.quirks:
        yield whole
        return
    index = {"index": 0 if Quirk.SAME_INDEX in writing.quirks else position}
    if Quirk.DICT_ARGUMENTS in writing.quirks or Quirk.SAME_INDEX in writing.quirks:
        yield index | whole
        return
    half = len(call.arguments) // 2
    yield index | whole | {"function": {"name": call.name, "arguments": ""}}
    for piece in filter(None, (call.arguments[:half], call.arguments[half:])):
        yield index | {"function": {"arguments": piece}}


def _whole_call(writing: Writing, position: int, call: Call) -> dict[str, Any]:
    as_object = Quirk.DICT_ARGUMENTS in writing.quirks
    arguments = json.loads(call.arguments) if as_object else call.arguments
    whole = {"type": "function", "function": {"name": call.name, "arguments": arguments}}
    nameless = Quirk.NO_ID in writing.quirks
    return whole if nameless else {"id": writing.call_id(call, position)} | whole


# Responses


def responses_whole(writing: Writing, status: str = "completed") -> dict[str, Any]:
    """The response object: empty while in progress, complete at the end."""
    done = status != "in_progress"
    return {
        "id": f"resp_{writing.number}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": writing.reply.finish} if status == "incomplete" else None,
        "instructions": None,
        "metadata": {},
        "model": writing.model,
        "output": [entry for entry, _ in _items(writing)] if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _responses_usage(writing) if done else None,
    }


def responses_events(writing: Writing, *, obfuscation: bool) -> Events:
    """Every event of a streamed answer, in order, without its number."""
    padding = {"obfuscation": "x8Kq2"} if obfuscation else {}
    for kind in ("response.created", "response.in_progress"):
        yield {"type": kind, "response": responses_whole(writing, "in_progress")}
    for position, (entry, pieces) in enumerate(_items(writing)):
        place = {"output_index": position}
        yield {"type": "response.output_item.added", "item": _begun(entry), **place}
        place["item_id"] = entry["id"]
        inner = _call_events if entry["type"] == "function_call" else _text_events
        for event in () if entry["type"] == "reasoning" else inner(entry, pieces):
            yield event | place | (padding if event["type"].endswith(".delta") else {})
        yield {"type": "response.output_item.done", "item": entry, "output_index": position}
    if Quirk.NO_FINISH not in writing.quirks:
        status = "incomplete" if writing.reply.finish else "completed"
        yield {"type": f"response.{status}", "response": responses_whole(writing, status)}


def _responses_usage(writing: Writing) -> dict[str, Any]:
    return {
        "input_tokens": writing.prompt_tokens,
        "input_tokens_details": {"cached_tokens": writing.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": writing.answer_tokens,
        "output_tokens_details": {"reasoning_tokens": writing.reasoning_tokens},
        "total_tokens": writing.prompt_tokens + writing.answer_tokens,
    }


def _items(writing: Writing) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """Output items with the pieces in which they come."""
    reply, number = writing.reply, writing.number
    if reply.thinking:
        yield {"type": "reasoning", "id": f"rs_{number}", "summary": []}, []
    texts = [reply.refusal] if reply.refusal else [p for p in reply.parts if isinstance(p, str)]
    if texts:
        words = {"type": "refusal", "refusal": reply.refusal}
        if not reply.refusal:
            words = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        yield _item("message", f"msg_{number}", role="assistant", content=[words]), texts
    for position, call in enumerate(reply.calls):
        about = {"name": call.name, "call_id": writing.call_id(call, position)}
        entry = _item("function_call", f"fc_{number}_{position}", **about)
        half = len(call.arguments) // 2
        pieces = [call.arguments[:half], call.arguments[half:]]
        yield entry | {"arguments": call.arguments}, pieces


def _item(kind: str, item_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": item_id, "status": "completed", **fields}


def _begun(entry: dict[str, Any]) -> dict[str, Any]:
    empty = {"content": []} if entry["type"] == "message" else {}
    if entry["type"] == "function_call":
        empty = {"arguments": ""}
    return entry | empty | ({"status": "in_progress"} if "status" in entry else {})


def _text_events(entry: dict[str, Any], pieces: list[str]) -> Events:
    words = entry["content"][0]
    said = "refusal" if words["type"] == "refusal" else "text"
    kind = f"response.{words['type']}"
    place = {"content_index": 0}
    nothing = {"logprobs": []} if said == "text" else {}
    yield {"type": "response.content_part.added", "part": words | {said: ""}, **place}
    for piece in pieces:
        yield {"type": f"{kind}.delta", "delta": piece, **nothing, **place}
    yield {"type": f"{kind}.done", said: words[said], **nothing, **place}
    yield {"type": "response.content_part.done", "part": words, **place}


def _call_events(entry: dict[str, Any], pieces: list[str]) -> Events:
    kind = "response.function_call_arguments"
    for piece in pieces:
        yield {"type": f"{kind}.delta", "delta": piece}
    # The SDK's types promise a name here, the provider does not.
    yield {"type": f"{kind}.done", "arguments": entry["arguments"]}
