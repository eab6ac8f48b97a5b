"""A stand-in for ElevenLabs' speech to text: Scribe on a socket, and for whole recordings."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web

from tests.doubles.providers.base import ProviderDouble, Stream, whole
from tests.doubles.providers.forms import Upload, form_fields
from tests.doubles.providers.scribe_rules import RefusedError, chunk_audio, socket_config

REALTIME = "/v1/speech-to-text/realtime"
BATCH = "/v1/speech-to-text"
BATCH_MODELS = frozenset({"scribe_v1", "scribe_v2", "scribe_v3"})
COMMIT_MS = 300
"""A commit of less is throttled."""
PARTIAL_MS = 200
"""So much more audio, so much more of the text is known."""
_ENDING = frozenset(
    {
        "error",
        "auth_error",
        "quota_exceeded",
        "unaccepted_terms",
        "rate_limited",
        "queue_overflow",
        "resource_exhausted",
        "session_time_limit_exceeded",
        "chunk_size_exceeded",
        "transcriber_error",
    }
)
"""After these the server closes the socket."""


@dataclass
class Hear:
    """What is understood of one utterance.

    Attributes:
        partials: one after the other while audio comes; without any the text grows by words.
        when: the final text is held back until then.
        error: answer the commit with this type of message instead.
        silent: never answer the commit.
        before: messages sent between the commit and its answer.
    """

    text: str
    partials: Sequence[str] = ()
    when: asyncio.Event | None = None
    error: str = ""
    silent: bool = False
    before: Sequence[Mapping[str, Any]] = ()

    def growing(self) -> Sequence[str]:
        words = self.text.split()
        return self.partials or [" ".join(words[:n]) for n in range(1, len(words) + 1)]


@dataclass
class Session:
    """One socket, as far as it has come.

    Attributes:
        chunks: messages with audio or a commit, in order.
        uncommitted: audio since the last commit.
        commits: the audio of every commit that was taken.
    """

    config: Mapping[str, Any]
    session_id: str
    chunks: list[Mapping[str, Any]] = field(default_factory=list)
    uncommitted: bytearray = field(default_factory=bytearray)
    commits: list[bytes] = field(default_factory=list)
    shown: int = 0
    spoke: bool = False
    silent_bytes: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def previous_text(self) -> str | None:
        return self.chunks[0].get("previous_text") if self.chunks else None

    def ms(self, size_bytes: int) -> int:
        return size_bytes * 1000 // (self.config["sample_rate"] * 2)

    async def until(self, true: Callable[["Session"], bool]) -> None:
        """Wait until this is true of the session."""
        while not true(self):
            self.changed.clear()
            await self.changed.wait()


class ElevenLabsHearingDouble(ProviderDouble):
    """Understands what the test says it does.

    Attributes:
        hears: what is understood of the next utterances, on either route, in order.
        default: what is understood once `hears` is empty and there is no `transcribe`.
        transcribe: hears audio (16 kHz) for real, in a thread.
        tokens: single-use tokens that open a socket without a key.
        sessions: every socket that was opened, in order.
        most_sockets: so many were open at once.
        detected: the language code in answers.
    """

    def __init__(self, key: str = "test-key") -> None:
        super().__init__(key)
        self.hears: deque[str | Hear] = deque()
        self.default = "I hear you."
        self.transcribe: Callable[[bytes], str] | None = None
        self.tokens: set[str] = set()
        self.sessions: list[Session] = []
        self.most_sockets = 0
        self.detected = "en"
        self._open = 0
        self._numbers = count(1)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(REALTIME, self.answering(self._realtime)),
            web.post(BATCH, self.answering(self._batch)),
        ]

    def authorized(self, request: web.Request) -> bool:
        token = request.query.get("token", "")
        if token in self.tokens:
            self.tokens.discard(token)
            return True
        return request.headers.get("xi-api-key") == self.key

    def unauthorized(self) -> web.Response:
        return whole(401, self.error("invalid_api_key", "authentication_error"))

    def error(self, code: str, kind: str = "invalid_request") -> dict[str, Any]:
        """The body of an error that ElevenLabs answers with."""
        detail = {"type": kind, "code": code, "status": code, "message": f"{code}, as it were."}
        return {"detail": {**detail, "request_id": self._id("req")}}

    @property
    def commits(self) -> list[bytes]:
        """The audio of all commits, of all sockets in order."""
        return [audio for session in self.sessions for audio in session.commits]

    def _id(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers)}"

    def _next(self) -> Hear:
        if not self.hears:
            return Hear(self.default)
        heard = self.hears[0]
        return Hear(heard) if isinstance(heard, str) else heard

    async def _text(self, heard: Hear, pcm: bytes) -> str:
        if self.hears:
            self.hears.popleft()
        elif self.transcribe is not None:
            return await asyncio.to_thread(self.transcribe, pcm)
        return heard.text

    # The socket.

    async def _realtime(self, stream: Stream) -> None:
        stream.socket = web.WebSocketResponse(max_msg_size=16 * 1024 * 1024)
        stream.socket.headers["request-id"] = self._id("req")
        await stream.socket.prepare(stream.request)
        stream.asked.body = []
        self._open += 1
        self.most_sockets = max(self.most_sockets, self._open)
        try:
            await self._converse(stream)
        except RefusedError as refused:
            await self._tell(stream, *refused.args)
            await stream.socket.close(code=1008, message=str(refused.args[0]).encode())
        finally:
            self._open -= 1
            stream.asked.close_code = stream.socket.close_code

    async def _converse(self, stream: Stream) -> None:
        assert stream.socket is not None
        session = Session(socket_config(stream.request.query), self._id("session"))
        self.sessions.append(session)
        config = dict(session.config)
        await stream.send(_message("session_started", session_id=session.session_id, config=config))
        async for raw in stream.socket:
            if raw.type is not WSMsgType.TEXT:
                raise RefusedError("input_error", "Only text is spoken here.")
            message = json.loads(raw.data)
            stream.asked.body.append(message)
            await self._take(stream, session, message)
            session.changed.set()

    async def _take(self, stream: Stream, session: Session, message: Mapping[str, Any]) -> None:
        pcm = chunk_audio(message, session.config, first=not session.chunks)
        session.chunks.append(message)
        session.uncommitted += pcm
        if message["commit"]:
            await self._commit(stream, session)
            return
        await self._grow(stream, session)
        if session.config["commit_strategy"] == "vad" and _silent(session, pcm):
            await self._commit(stream, session)

    async def _grow(self, stream: Stream, session: Session) -> None:
        """Tell what is understood so far; every partial replaces the one before."""
        known = self._next().growing() if self.hears or self.transcribe is None else ()
        due = min(len(known), session.ms(len(session.uncommitted)) // PARTIAL_MS)
        while session.shown < due:
            session.shown += 1
            await stream.send(_message("partial_transcript", text=known[session.shown - 1]))

    async def _commit(self, stream: Stream, session: Session) -> None:
        if session.ms(len(session.uncommitted)) < COMMIT_MS:
            await self._tell(stream, "commit_throttled", "Less than 0.3 s of audio.")
            return
        heard, pcm = self._next(), bytes(session.uncommitted)
        session.uncommitted.clear()
        session.commits.append(pcm)
        session.shown = 0
        session.changed.set()
        text = await self._text(heard, pcm)
        if heard.when is not None:
            await heard.when.wait()
        for message in heard.before:
            await stream.send(message)
        if heard.error:
            await self._fail(stream, heard.error)
        elif not heard.silent:
            await self._say(stream, session, text, pcm)

    async def _fail(self, stream: Stream, kind: str) -> None:
        if kind in _ENDING:
            raise RefusedError(kind, "As the test wanted.")
        await self._tell(stream, kind, "As the test wanted.")

    async def _say(self, stream: Stream, session: Session, text: str, pcm: bytes) -> None:
        await stream.send(_message("committed_transcript", text=text))
        if session.config["include_timestamps"] or session.config["include_language_detection"]:
            words = _words(text, session.ms(len(pcm)))
            said = _message("committed_transcript_with_timestamps", text=text, words=words)
            await stream.send({**said, "language_code": self.detected})

    async def _tell(self, stream: Stream, kind: str, error: str) -> None:
        await stream.send(_message(kind, error=error))

    # Whole recordings.

    async def _batch(self, stream: Stream) -> web.Response:
        fields: dict[str, Any] = {}
        async for name, value in form_fields(stream.request):
            read = value.data if isinstance(value, Upload) else value
            if read != "null":  # so the SDK says that nothing was said
                fields[name] = read
        stream.asked.body = fields
        headers = {"request-id": self._id("req")}
        if wrong := _wrong(fields):
            return whole(422, {"detail": wrong}, headers)
        if fields["model_id"] not in BATCH_MODELS:
            return whole(400, self.error("invalid_model_id"), headers)
        heard, pcm = self._next(), fields["file"]
        text = await self._text(heard, pcm)
        if heard.when is not None:
            await heard.when.wait()
        return whole(200, self._transcript(fields, text, pcm), headers)

    def _transcript(self, fields: Mapping[str, Any], text: str, pcm: bytes) -> dict[str, Any]:
        raw = fields.get("file_format") == "pcm_s16le_16"
        ms = len(pcm if raw else pcm[44:]) // 32
        timed = fields.get("timestamps_granularity", "word") != "none"
        return {
            "language_code": fields.get("language_code") or self.detected,
            "language_probability": 1.0,
            "text": text,
            "words": _words(text, ms) if timed else [],
            "transcription_id": self._id("transcription"),
            "audio_duration_secs": ms / 1000,
        }


def _silent(session: Session, pcm: bytes) -> bool:
    """Whether the caller has spoken and then been silent for long enough."""
    if any(pcm):
        session.spoke, session.silent_bytes = True, 0
        return False
    session.silent_bytes += len(pcm)
    long_ms = session.config["vad_silence_threshold_secs"] * 1000
    over = session.spoke and session.ms(session.silent_bytes) >= long_ms
    session.spoke = session.spoke and not over
    return over


def _wrong(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    missing = [name for name in ("model_id", "file") if name not in fields]
    return [{"loc": ["body", name], "msg": "Field required", "type": "missing"} for name in missing]


def _words(text: str, ms: int) -> list[dict[str, Any]]:
    """Every word with the same share of the time, and the spaces between them."""
    said = text.split()
    step = ms / 1000 / max(1, len(said))
    words: list[dict[str, Any]] = []
    for n, word in enumerate(said):
        start, end = round(n * step, 3), round((n + 1) * step, 3)
        if n:
            words.append(_word(" ", start, start, "spacing"))
        words.append(_word(word, start, end, "word"))
    return words


def _word(text: str, start: float, end: float, kind: str) -> dict[str, Any]:
    return {"text": text, "start": start, "end": end, "type": kind, "logprob": 0.0}


def _message(kind: str, **fields: Any) -> dict[str, Any]:
    return {"message_type": kind, **fields}
