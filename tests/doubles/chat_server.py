"""A local server that speaks chat completions over a real socket, and fails on request.

It enforces the provider's own rule that every tool call needs its result, and says of each
request whether its client left before the end.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

_STATUS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}


@dataclass
class Script:
    """How to answer one request.

    Attributes:
        deltas: `choices[0].delta` of each chunk; None for a chunk without choices.
        finish: the finish reason, or "" to end the body properly but early.
        status: of the response; other than 200 sends `body`.
        drop_after: cut the connection after so many chunks.
        stall_after: say nothing more after so many chunks.
        garbage_after: send a line that is no JSON after so many chunks.
    """

    deltas: list[dict[str, Any] | None] = field(default_factory=list)
    finish: str = "stop"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    drop_after: int | None = None
    stall_after: int | None = None
    garbage_after: int | None = None


def says(*pieces: str, **options: Any) -> Script:
    return Script([{"content": piece} for piece in pieces], **options)


@dataclass
class Request:
    path: str
    headers: Mapping[str, str]
    body: Any
    left_early: asyncio.Event = field(default_factory=asyncio.Event)


class ChatDouble:
    def __init__(self) -> None:
        self.scripts: deque[Script] = deque()
        self.requests: list[Request] = []
        self.open_connections = 0
        self.base_url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(request, reader, writer):
                    break
        except ConnectionError:
            pass
        finally:
            self.open_connections -= 1
            writer.close()

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        script = self.scripts.popleft() if self.scripts else says("Hello.")
        if script.status == 200 and (fault := _orphaned_call(request.body)):
            script = Script(status=400, body={"error": {"message": fault, "code": None}})
        if script.status != 200 or script.body is not None or not request.body.get("stream"):
            _whole(writer, script)
            await writer.drain()
            return True
        return await self._stream(request, script, reader, writer)

    async def _stream(
        self,
        request: Request,
        script: Script,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        _head(writer, script, {"content-type": "text/event-stream", "transfer-encoding": "chunked"})
        choices: list[Any] = [
            [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None}]
            for delta in script.deltas
        ]
        if script.finish:
            choices.append([{"index": 0, "delta": {}, "finish_reason": script.finish}])
        for number, choice in enumerate(choices):
            if number == script.drop_after:
                writer.transport.abort()
                return False
            if number == script.garbage_after:
                _chunk(writer, "data: {not json\n\n")
            if number == script.stall_after:
                await reader.read(1)  # nothing comes but the end of the connection
                request.left_early.set()
                return False
            chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            _chunk(writer, f"data: {json.dumps(chunk | {'choices': choice})}\n\n")
            await writer.drain()
        if script.finish:
            _chunk(writer, "data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


@asynccontextmanager
async def chat_double() -> AsyncIterator[ChatDouble]:
    double = ChatDouble()
    server = await asyncio.start_server(double.serve, "127.0.0.1", 0)
    double.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield double
    finally:
        server.close()


def _orphaned_call(body: Any) -> str:
    messages = body.get("messages", [])
    answered = {m["tool_call_id"] for m in messages if m["role"] == "tool"}
    called = {c["id"] for m in messages for c in m.get("tool_calls") or ()}
    if called <= answered:
        return ""
    return (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        "each 'tool_call_id'."
    )


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(first.split()[1], headers, json.loads(body or "{}"))


def _head(writer: asyncio.StreamWriter, script: Script, headers: dict[str, str]) -> None:
    lines = [f"HTTP/1.1 {script.status} {_STATUS.get(script.status, 'Error')}"]
    lines += [f"{k}: {v}" for k, v in (headers | dict(script.headers)).items()]
    writer.write("\r\n".join([*lines, "x-request-id: req_1", "", ""]).encode())


def _whole(writer: asyncio.StreamWriter, script: Script) -> None:
    content = "".join((delta or {}).get("content") or "" for delta in script.deltas)
    calls = [call for delta in script.deltas for call in (delta or {}).get("tool_calls", ())]
    message = {"role": "assistant", "content": content} | ({"tool_calls": calls} if calls else {})
    choice = {"index": 0, "message": message, "finish_reason": script.finish}
    whole = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m"}
    body = whole | {"choices": [choice]} if script.body is None else script.body
    text = body if isinstance(body, str) else json.dumps(body)
    kind = "text/html" if isinstance(body, str) else "application/json"
    _head(writer, script, {"content-type": kind, "content-length": str(len(text.encode()))})
    writer.write(text.encode())


def _chunk(writer: asyncio.StreamWriter, text: str) -> None:
    data = text.encode()
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
