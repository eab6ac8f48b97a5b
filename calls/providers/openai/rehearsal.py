"""A first request without a network, so that the first real one is as quick as the second.

The SDK builds types when they are first used, which would hold the event loop for a fifth of a
second, in the first call of the day.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import anyio
import httpx2
from openai import AsyncOpenAI

logger = logging.getLogger(__name__)

_SCHEMA = {"type": "object", "properties": {}}
_LOOK = {"name": "look", "arguments": "{}"}
_TOOL = {"name": "look", "description": "", "parameters": _SCHEMA, "strict": False}
_CALL = {"type": "function_call", "call_id": "call_1", **_LOOK}
_CHAT_CALL = {"id": "call_1", "type": "function", "function": _LOOK}
_HELLO = {"role": "user", "content": "Hello"}

_CHAT: Mapping[str, Any] = {
    "messages": [
        {"role": "system", "content": "Hello"},
        _HELLO,
        {"role": "assistant", "content": None, "tool_calls": [_CHAT_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "{}"},
        {"role": "assistant", "content": "Hello"},
    ],
    "tools": [{"type": "function", "function": _TOOL}],
    "stream_options": {"include_usage": True},
}
_RESPONSES: Mapping[str, Any] = {
    "input": [
        _HELLO,
        _CALL,
        {"type": "function_call_output", "call_id": "call_1", "output": "{}"},
        {"role": "assistant", "content": "Hello"},
    ],
    "tools": [{"type": "function", **_TOOL}],
    "reasoning": {"effort": "none"},
    "text": {"verbosity": "low"},
    "stream_options": {"include_obfuscation": False},
}

_ANY = {"model": "none", "id": "id_1", "created": 0, "created_at": 0}
_WHOLE = {"object": "response", "status": "completed", "output": [_CALL], "error": None}
_MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}

_CHUNKS = (
    {"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, **_CHAT_CALL}]}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}}},
)
_EVENTS = (
    {"type": "response.created", "response": {**_ANY, **_WHOLE}},
    {"type": "response.output_item.added", "output_index": 0, "item": _MESSAGE},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "Hello"},
    {"type": "response.output_text.done", "output_index": 0, "text": "Hello"},
    {"type": "response.output_item.done", "output_index": 0, "item": _MESSAGE},
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
    {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": "{}"},
    {"type": "response.completed", "response": {**_ANY, **_WHOLE}},
)


@cache
def rehearse() -> None:
    """Ask both endpoints for words and a tool call, once a process. Takes a while: use a thread."""
    try:
        asyncio.run(_rehearse())
    except Exception:  # noqa: BLE001 - the first call is slower, and nothing else
        logger.warning("The rehearsal of a request failed; the first one will take longer.")


async def _rehearse() -> None:
    # The transport loads these when it connects, which nothing here does.
    _ = (anyio.Event(), anyio.Lock(), anyio.connect_tcp, anyio.fail_after)
    transport = httpx2.MockTransport(_answer)
    async with AsyncOpenAI(
        base_url="http://rehearsal.invalid/v1",
        api_key="none",
        max_retries=0,
        http_client=httpx2.AsyncClient(transport=transport),
    ) as sdk:
        for create, request in (
            (sdk.chat.completions.create, _CHAT),
            (sdk.responses.create, _RESPONSES),
        ):
            stream: Any = await create(model="none", stream=True, **request)
            async with stream:
                async for _ in stream:
                    pass


def _answer(request: httpx2.Request) -> httpx2.Response:
    chat = request.url.path.endswith("completions")
    pieces = [{**_ANY, **chunk} for chunk in _CHUNKS] if chat else _EVENTS
    body = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces)
    return httpx2.Response(200, text=body, headers={"content-type": "text/event-stream"})
