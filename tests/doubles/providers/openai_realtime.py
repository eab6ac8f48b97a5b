"""A stand-in for OpenAI's Realtime API: conversations and transcription over a WebSocket."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from aiohttp import web

from calls.audio.resample import Resampler
from tests.doubles.providers.base import ProviderDouble, Stream, whole
from tests.doubles.providers.openai_realtime_config import (
    conversation_defaults,
    transcription_defaults,
    updated,
)
from tests.doubles.providers.openai_realtime_script import (
    BYTES_PER_MS,
    Answer,
    CallsTool,
    Fails,
    Hear,
    Output,
    RejectedError,
    Says,
    Stalls,
    Stops,
    tone,
)
from tests.doubles.providers.openai_realtime_session import RealtimeSession, new_socket

__all__ = [
    "CallsTool",
    "Fails",
    "Hear",
    "OpenAIRealtimeDouble",
    "Says",
    "Stalls",
    "Stops",
    "session_expired",
]


class OpenAIRealtimeDouble(ProviderDouble):
    """Serves `/v1/realtime` and `/v1/realtime/client_secrets`.

    Attributes:
        hears: what the next committed inputs say, a text or a `Hear` each.
        answers: the next responses of conversations: one output, or a list of several.
        readings: the next responses beside a conversation; without, the input is read verbatim.
        sessions: in the order in which they began.
        go_on: lets answers with `held_after` or `held` go on.
        ms_per_char: length of the tone.
        chunk_bytes: of one audio event.
        chunk_delay_s: between two pieces or chunks; 0: all at once, faster than real time.
        old_names: send the event names of the beta.
        usage_by_duration: transcription is paid by seconds, not tokens.
        session_limit_s: then every session is cut as `session_end` says: close code, event first.
        transcribe: pcm at 16 kHz to text, for what `hears` does not say; runs in a thread.
        synthesize: text to pcm at 24 kHz, instead of the tone; runs in a thread.
        reply: what to say to what was heard, for what `answers` does not say.
    """

    def __init__(self, key: str = "test-key") -> None:
        super().__init__(key)
        self.hears: deque[Hear | str] = deque()
        self.answers: deque[Answer] = deque()
        self.readings: deque[Answer] = deque()
        self.sessions: list[RealtimeSession] = []
        self.go_on = asyncio.Event()
        self.ms_per_char = 60
        self.chunk_bytes = 100 * BYTES_PER_MS
        self.chunk_delay_s = 0.0
        self.old_names = False
        self.usage_by_duration = False
        self.session_limit_s: float | None = None
        self.session_end: tuple[int, Mapping[str, Any] | None] = (1001, session_expired())
        self.transcribe: Callable[[bytes], str] | None = None
        self.synthesize: Callable[[str], bytes] | None = None
        self.reply: Callable[[str], str] = lambda heard: f"You said: {heard}. What else?"
        self.began = asyncio.Event()
        """Set whenever a session begins."""
        self._secrets: dict[str, float] = {}
        self._numbers = count(1)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/realtime", self.answering(self._serve)),
            web.post("/v1/realtime/client_secrets", self.answering(self._secret)),
        ]

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def authorized(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return given == self.key or self._secrets.get(given, 0) > time.time()

    def unauthorized(self) -> web.Response:
        return _refusal(401, "invalid_api_key", "Incorrect API key provided.")

    def new_id(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers)}"

    def cut_session(
        self, code: int = 1001, *, reason: str = "", event: Mapping[str, Any] | None = None
    ) -> None:
        """End the newest session: `event` first, then this close code; 1006 cuts the connection."""
        self.sessions[-1].cut(code, reason, event)

    def heard_next(self) -> Hear | None:
        """What the next commit will be heard as, if the script says."""
        if not self.hears:
            return None
        hear = self.hears[0]
        return Hear(hear) if isinstance(hear, str) else hear

    def next_heard(self) -> Hear | None:
        """The same, and it is used up."""
        hear = self.heard_next()
        if hear is not None:
            self.hears.popleft()
        return hear

    async def transcribed(self, pcm: bytes) -> str:
        """What the script does not say."""
        if self.transcribe is None:
            return f"something of {len(pcm) // BYTES_PER_MS} milliseconds"
        resampler = Resampler(24_000, 16_000)
        pcm_16k = resampler.feed(pcm) + resampler.flush()
        return await asyncio.to_thread(self.transcribe, pcm_16k)

    async def spoken(self, text: str, speed: float) -> bytes:
        if self.synthesize is not None:
            return await asyncio.to_thread(self.synthesize, text)
        return tone(round(len(text) * self.ms_per_char / speed))

    async def answer(
        self, session: RealtimeSession, params: Mapping[str, Any], *, beside: bool
    ) -> list[Output]:
        """What this response consists of."""
        script = self.readings if beside else self.answers
        if script:
            answer = script.popleft()
            return answer if isinstance(answer, list) else [answer]
        text = _read(params) if beside else self.reply(await _heard(session))
        return [Says(*re.findall(r"\S+\s*", text))]

    async def held(self, says: Says, number: int) -> None:
        if says.held_after == number:
            await self.go_on.wait()

    async def pause(self) -> None:
        await asyncio.sleep(self.chunk_delay_s)

    async def _serve(self, stream: Stream) -> web.StreamResponse | None:
        query = stream.asked.query
        if "model" in query:
            config = conversation_defaults(query["model"])
        elif query.get("intent") == "transcription":
            config = transcription_defaults()
        else:
            return _refusal(400, "missing_required_parameter", "You must provide a model.")
        stream.asked.body = []
        stream.socket = new_socket()
        stream.socket.headers["x-request-id"] = self.new_id("req")
        await stream.socket.prepare(stream.request)
        session = RealtimeSession(self, stream, config)
        self.sessions.append(session)
        self.began.set()
        await session.run()
        return None

    async def _secret(self, stream: Stream) -> web.StreamResponse | None:
        asked = stream.asked.body = await stream.request.json()
        session = asked.get("session") or {"type": "realtime"}
        seconds = (asked.get("expires_after") or {}).get("seconds", 600)
        if not 10 <= seconds <= 7200:
            return _refusal(400, "invalid_value", "10 to 7200 seconds.")
        defaults = transcription_defaults()
        if session.get("type") == "realtime":
            defaults = conversation_defaults(session.get("model", "gpt-realtime-2.1"))
        try:
            config = updated(defaults, session)
        except RejectedError as rejected:
            return _refusal(400, rejected.code, rejected.message)
        value, expires_at = self.new_id("ek"), int(time.time()) + seconds
        self._secrets[value] = expires_at
        config |= {"id": self.new_id("sess"), "expires_at": 0}
        return whole(200, {"value": value, "expires_at": expires_at, "session": config})


def session_expired() -> dict[str, Any]:
    """What may come before the end of a session that is too old."""
    error = {"type": "invalid_request_error", "code": "session_expired", "param": None}
    error |= {"message": "Your session hit the maximum duration of 60 minutes.", "event_id": None}
    return {"type": "error", "event_id": "event_expired", "error": error}


def _refusal(status: int, code: str | None, message: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return whole(status, {"error": error}, {"x-request-id": "req_refused"})


def _read(params: Mapping[str, Any]) -> str:
    """The last text of a response's own input."""
    items = [item for item in params.get("input") or () if item.get("type") == "message"]
    parts = items[-1]["content"] if items else ()
    return " ".join(part.get("text", "") for part in parts) or "Nothing."


async def _heard(session: RealtimeSession) -> str:
    """The newest of what the caller said and what a tool gave."""
    for item in reversed(session.items):
        if item["type"] == "function_call_output":
            return str(item["output"])
        if item.get("role") == "user":
            part = item["content"][0]
            spoken = session.buffer.heard.get(item["id"])
            return await spoken if spoken is not None else str(part.get("text"))
    return "nothing"
