"""A stand-in for OpenAI's language models over HTTP, and for servers that resemble it."""

import asyncio
import json
import re
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.doubles.providers.base import Fault, ProviderDouble, Stream, whole
from tests.doubles.providers.openai_answers import (
    Asked,
    Call,
    Quirk,
    Reply,
    calls_tool,
    own_reply,
    raw,
    sample,
    says,
)
from tests.doubles.providers.openai_events import (
    CREATED,
    Writing,
    chat_chunks,
    chat_whole,
    responses_events,
    responses_whole,
)
from tests.doubles.providers.openai_rules import (
    Problem,
    chat_problem,
    responses_problem,
    unknown_to_some,
)

__all__ = ["Call", "OpenAIHttpDouble", "Quirk", "Reply", "calls_tool", "problem", "raw", "says"]

MODELS = ("gpt-6-luna", "gpt-5.4-mini", "gpt-4.1")


class OpenAIHttpDouble(ProviderDouble):
    """Serves `/v1/models`, `/v1/chat/completions` and `/v1/responses`.

    Attributes:
        answers: what to say to the next requests; without one it answers by itself.
        quirks: what it does that OpenAI does not; for all answers.
        models: those it knows; others are not found. Empty: it knows all.
        cached_tokens: of every prompt.
        piece_delay_s: before every piece of a stream, for use by hand.
        go_on: no piece of a stream is sent while it is not set; it is in the beginning.
    """

    def __init__(self, key: str = "test-key") -> None:
        super().__init__(key)
        self.answers: deque[Reply] = deque()
        self.quirks: set[Quirk] = set()
        self.models: tuple[str, ...] = ()
        self.cached_tokens = 0
        self.piece_delay_s = 0.0
        self.go_on = threading.Event()
        self.go_on.set()

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self.answering(self._models)),
            web.post("/v1/chat/completions", self.answering(self._chat)),
            web.post("/v1/responses", self.answering(self._responses)),
        ]

    def authorized(self, request: web.Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.key}"

    def unauthorized(self) -> web.Response:
        return self._problem(401, "Incorrect API key provided.", code="invalid_api_key")

    async def _models(self, _stream: Stream) -> web.StreamResponse:
        data = [
            {"id": name, "object": "model", "created": CREATED, "owned_by": "double"}
            for name in self.models or MODELS
        ]
        return whole(200, {"object": "list", "data": data}, self._headers())

    async def _chat(self, stream: Stream) -> web.StreamResponse | None:
        body = stream.asked.body = await stream.request.json()
        if Quirk.REFUSES_THE_UNKNOWN in self.quirks and (strange := unknown_to_some(body)):
            return self._problem(400, *strange)
        if (refused := self._refused(body, chat_problem(body))) is not None:
            return refused
        writing = self._writing(body, _chat_asked(body))
        if writing.reply.body is not None:
            return whole(200, writing.reply.body, self._headers())
        if not body.get("stream") or Quirk.IGNORES_STREAM in self.quirks:
            return whole(200, chat_whole(writing), self._headers())
        options = body.get("stream_options") or {}
        usage = options.get("include_usage", False)
        await self._begin(stream)
        for chunk in chat_chunks(
            writing, usage=usage, obfuscation=options.get("include_obfuscation", True)
        ):
            await self._write(stream, f"data: {json.dumps(chunk)}\n\n")
        await stream.end() if Quirk.NO_DONE in self.quirks else await self._done(stream)
        return None

    async def _responses(self, stream: Stream) -> web.StreamResponse | None:
        body = stream.asked.body = await stream.request.json()
        if (refused := self._refused(body, responses_problem(body))) is not None:
            return refused
        writing = self._writing(body, _responses_asked(body))
        if writing.reply.body is not None:
            return whole(200, writing.reply.body, self._headers())
        if not body.get("stream") or Quirk.IGNORES_STREAM in self.quirks:
            return whole(200, responses_whole(writing), self._headers())
        options = body.get("stream_options") or {}
        await self._begin(stream)
        events = responses_events(writing, obfuscation=options.get("include_obfuscation", True))
        for number, event in enumerate(events):
            numbered = event | {"sequence_number": number}
            await self._write(stream, f"event: {event['type']}\ndata: {json.dumps(numbered)}\n\n")
        await stream.end()
        return None

    def _refused(self, body: Mapping[str, Any], found: Problem | None) -> web.StreamResponse | None:
        if found is not None:
            return self._problem(400, *found)
        if self.models and body["model"] not in self.models:
            return self._problem(404, "The model does not exist.", code="model_not_found")
        return None

    def _writing(self, body: Mapping[str, Any], asked: Asked) -> Writing:
        reply = self.answers.popleft() if self.answers else _by_itself(body, asked)
        return Writing(
            number=len(self.asked),
            model=body["model"],
            reply=reply,
            prompt_tokens=_words(body.get("messages") or body.get("input")),
            cached_tokens=self.cached_tokens,
            quirks=frozenset(self.quirks),
        )

    async def _begin(self, stream: Stream) -> None:
        kind = {"content-type": "text/event-stream; charset=utf-8"}
        await stream.begin(self._headers() | kind)
        if Quirk.COMMENT in self.quirks:
            await stream.write(b": still here\n\n")
        if Quirk.PING in self.quirks:
            await stream.write(b"event: ping\ndata:\n\n")

    async def _write(self, stream: Stream, event: str) -> None:
        if self.piece_delay_s:
            await asyncio.sleep(self.piece_delay_s)
        if not self.go_on.is_set():
            await asyncio.to_thread(self.go_on.wait)
        await stream.write(event.encode())

    async def _done(self, stream: Stream) -> None:
        await stream.write(b"data: [DONE]\n\n")
        await stream.end()

    def _headers(self) -> dict[str, str]:
        return {"x-request-id": f"req_{len(self.asked)}", "openai-processing-ms": "12"}

    def _problem(
        self, status: int, message: str, param: str | None = None, code: str | None = None
    ) -> web.Response:
        return whole(status, _error(message, "invalid_request_error", code, param), self._headers())


def problem(
    status: int, code: str | None = None, kind: str = "server_error", **headers: str
) -> Fault:
    """A failure in OpenAI's own shape; `_` in names of headers stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = _error("Something about your request.", kind, code, None)
    return Fault(status=status, body=body, headers={"x-request-id": "req_failed"} | named)


def _error(message: str, kind: str, code: str | None, param: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _by_itself(body: Mapping[str, Any], asked: Asked) -> Reply:
    """What is asked for by a schema has that form, whatever was said."""
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return says(json.dumps(sample(form["json_schema"].get("schema", {}), "The stand-in.")))
    return own_reply(asked)


def _words(value: Any) -> int:
    """How many tokens, at one a word."""
    return len(re.findall(r"\w+", json.dumps(value)))


def _chat_asked(body: Mapping[str, Any]) -> Asked:
    messages = body["messages"]
    said = [m["content"] for m in messages if m["role"] == "user"]
    tools = [tool["function"] for tool in body.get("tools", ())]
    last = messages[-1]
    result = last["content"] if last["role"] == "tool" else None
    return _asked(said, result, tools)


def _responses_asked(body: Mapping[str, Any]) -> Asked:
    items = body["input"]
    if isinstance(items, str):
        return _asked([items], None, body.get("tools", ()))
    said = [entry["content"] for entry in items if entry.get("role") == "user"]
    last = items[-1]
    result = last["output"] if last.get("type") == "function_call_output" else None
    return _asked(said, result, body.get("tools", ()))


def _asked(said: list[Any], result: str | None, tools: Any) -> Asked:
    words = said[-1] if said and isinstance(said[-1], str) else ""
    offered = [(t["name"], t.get("description", ""), t.get("parameters", {})) for t in tools]
    return Asked(words, result, offered)
