"""OpenAI's HTTP audio endpoints, strict where OpenAI is, and with the habits of look-alikes."""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from aiohttp import web

from calls.audio.pcm_stream import wav_bytes
from tests.doubles.providers.base import EndedEarlyError, ProviderDouble, Stream, whole
from tests.doubles.providers.openai_audio_rules import (
    COMPRESSED,
    Habits,
    RefusedError,
    check_speech,
    check_transcription,
    form_of,
    pcm_of,
)

MS_PER_CHARACTER = 60
CHUNK_BYTES = 4_801
"""Odd on purpose: half a sample is left over."""

_TEXT_FORMATS = ("text", "srt", "vtt")
_SSE = {"Content-Type": "text/event-stream; charset=utf-8"}


class OpenAIAudioDouble(ProviderDouble):
    """`/v1/audio/transcriptions` and `/v1/audio/speech`.

    Attributes:
        hears: what the next recordings say, in order; later ones say `default`.
        models, voices: the only ones there are; empty: any.
        habits: how it differs from OpenAI.
        transcribe: hears instead; blocking, gets mono PCM at 16 kHz.
        synthesize: speaks instead; blocking, gives mono PCM at 24 kHz.
        peers: connections that requests came on.
    """

    def __init__(self, key: str = "test-key") -> None:
        super().__init__(key)
        self.hears: deque[str] = deque()
        self.default = "what time is it"
        self.models: frozenset[str] = frozenset()
        self.voices: frozenset[str] = frozenset()
        self.habits = Habits()
        self.transcribe: Callable[[bytes], str] | None = None
        self.synthesize: Callable[[str], bytes] | None = None
        self.peers: set[Any] = set()

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/audio/transcriptions", self.answering(self._transcription)),
            web.post("/v1/audio/speech", self.answering(self._speech)),
        ]

    def authorized(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self.key}"

    def unauthorized(self) -> web.Response:
        refusal = RefusedError(401, "Incorrect API key provided.", "invalid_api_key")
        return whole(*refusal.answer, self._headers())

    def _headers(self) -> dict[str, str]:
        return {"x-request-id": f"req_{len(self.asked)}", "openai-processing-ms": "12"}

    async def _transcription(self, stream: Stream) -> web.StreamResponse | None:
        self.peers.add(_peer(stream.request))
        form = stream.asked.body = await form_of(stream.request)
        try:
            self._check(form)
            check_transcription(form)
            pcm = pcm_of(form["file"])
        except RefusedError as refusal:
            return whole(*refusal.answer, self._headers())
        text = await self._heard(pcm)
        if form.get("stream") == "true" and self.habits.transcript_stream != "json":
            await self._stream_transcript(stream, form, text, pcm)
            return None
        if (kind := form.get("response_format", "json")) in _TEXT_FORMATS:
            return web.Response(text=f"{text}\n", headers=self._headers())
        answer = {"text": text} | self._usage(pcm)
        if kind == "verbose_json":
            answer |= {"task": "transcribe", "language": "english", "duration": len(pcm) / 32_000}
            answer |= {"words": [{"word": word, "start": 0.0, "end": 0.0} for word in text.split()]}
        await self._send_json(stream, answer)
        return None

    async def _send_json(self, stream: Stream, answer: Any) -> None:
        """In two pieces, so that a fault may strike between them."""
        body = json.dumps(answer).encode()
        head = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        await stream.begin(self._headers() | head)
        await stream.write(body[:7])
        await stream.write(body[7:])
        await stream.end()

    async def _heard(self, pcm: bytes) -> str:
        if self.transcribe is not None:
            return await asyncio.to_thread(self.transcribe, pcm)
        return self.hears.popleft() if self.hears else self.default

    async def _stream_transcript(
        self, stream: Stream, form: Mapping[str, Any], text: str, pcm: bytes
    ) -> None:
        await stream.begin(self._headers() | _SSE)
        kind = self.habits.transcript_stream
        events = [] if kind == "nothing" else _TRANSCRIPTS[kind](text, form["model"])
        for event in events:
            await stream.write(_line(event))
            await asyncio.sleep(self.habits.patience_s)
        if self.habits.done:
            if kind == "openai":
                done = {"type": "transcript.text.done", "text": text} | self._usage(pcm)
                if form["model"] == "gpt-transcribe":
                    done["languages"] = [{"code": "en"}]
                await stream.write(_line(done))
            await stream.write(b"data: [DONE]\n\n")
        await stream.end()

    def _usage(self, pcm: bytes) -> dict[str, Any]:
        if not self.habits.usage:
            return {}
        if self.habits.usage == "seconds":
            return {"usage": {"type": "duration", "seconds": -(-len(pcm) // 32_000)}}
        details = {"audio_tokens": 14, "text_tokens": 2}
        usage = {"input_tokens": 16, "input_token_details": details, "output_tokens": 5}
        return {"usage": {"type": "tokens", "total_tokens": 21} | usage}

    async def _speech(self, stream: Stream) -> web.StreamResponse | None:
        self.peers.add(_peer(stream.request))
        asked = stream.asked.body = await stream.request.json()
        try:
            self._check(asked)
            check_speech(asked)
            self._check_voice(asked["voice"])
        except RefusedError as refusal:
            return whole(*refusal.answer, self._headers())
        sound = await self._spoken(asked)
        if asked.get("stream_format") == "sse":
            await self._stream_speech(stream, sound, len(asked["input"]))
        else:
            await self._send_sound(stream, sound, asked.get("response_format", "mp3"))
        return None

    async def _spoken(self, asked: Mapping[str, Any]) -> bytes:
        if self.synthesize is not None:
            return await asyncio.to_thread(self.synthesize, asked["input"])
        return tone_of(asked["input"], self.habits.rate_hz, asked.get("speed", 1.0))

    async def _stream_speech(self, stream: Stream, sound: bytes, characters: int) -> None:
        await stream.begin(self._headers() | _SSE)
        for piece in _pieces(sound):
            audio = base64.b64encode(piece).decode()
            await stream.write(_line({"type": "speech.audio.delta", "audio": audio}))
        if self.habits.done:
            usage = {
                "input_tokens": characters,
                "output_tokens": 40,
                "total_tokens": characters + 40,
            }
            await stream.write(_line({"type": "speech.audio.done", "usage": usage}))
        await stream.end()

    async def _send_sound(self, stream: Stream, sound: bytes, kind: str) -> None:
        habits = self.habits
        if habits.sound is not None:
            sound = habits.sound
        elif kind == "wav":
            sound = _WAVS[habits.wav](sound, habits.rate_hz)
        elif kind in COMPRESSED:
            sound = COMPRESSED[kind] + sound
        await stream.begin(self._sound_headers(sound, kind))
        for piece in _pieces(sound):
            await stream.write(piece)
        if habits.overstated_bytes:
            assert stream.request.transport is not None
            stream.request.transport.close()
            raise EndedEarlyError
        await stream.end()

    def _sound_headers(self, sound: bytes, kind: str) -> dict[str, str]:
        habits = self.habits
        headers = self._headers() | {"Content-Type": f"audio/{kind}"}
        if habits.rate_in == "content-type":
            headers["Content-Type"] = f"audio/{kind}; rate={habits.rate_hz}"
        elif habits.rate_in:
            headers[habits.rate_in] = str(habits.rate_hz)
        if habits.overstated_bytes is not None:
            headers["Content-Length"] = str(len(sound) + habits.overstated_bytes)
        return headers

    def _check_voice(self, voice: str) -> None:
        if self.voices and voice not in self.voices:
            raise RefusedError(404, "No such voice.", "voice_not_found", "voice")

    def _check(self, asked: Mapping[str, Any]) -> None:
        if not asked.get("model"):
            raise RefusedError(400, "you must provide a model parameter", "", "model")
        if self.models and asked["model"] not in self.models:
            raise RefusedError(404, "The model does not exist.", "model_not_found")
        for name in self.habits.refused & {name.removesuffix("[]") for name in asked}:
            raise RefusedError(422, "Extra inputs are not permitted", "", name)


def tone_of(text: str, rate_hz: int = 24_000, speed: float = 1.0) -> bytes:
    """What the double says: a tone of 60 ms a character, at that pace."""
    return _tone(round(len(text) * MS_PER_CHARACTER / speed), rate_hz)


@cache
def _tone(ms: int, rate_hz: int) -> bytes:
    times = np.arange(rate_hz * ms // 1000) / rate_hz
    return np.round(np.sin(2 * np.pi * 440 * times) * 8_000).astype("<i2").tobytes()


def _peer(request: web.Request) -> Any:
    return request.transport and request.transport.get_extra_info("peername")


def _deltas(text: str, model: str) -> list[dict[str, Any]]:
    words = [f"{word} " for word in text.split()]
    words[-1:] = [words[-1].rstrip()] if words else []
    return [{"type": "transcript.text.delta", "delta": word} for word in words]


def _choices(text: str, model: str) -> list[dict[str, Any]]:
    head = {
        "id": "trsc-1",
        "object": "transcription.chunk",
        "created": 1_763_600_000,
        "model": model,
    }
    parts = [part["delta"] for part in _deltas(text, model)] or [""]
    ends = [None] * (len(parts) - 1) + ["stop"]
    return [
        head | {"choices": [{"delta": {"content": part}, "finish_reason": end}]}
        for part, end in zip(parts, ends, strict=True)
    ]


def _segments(text: str, model: str) -> list[dict[str, Any]]:
    return [{"text": part["delta"].strip()} for part in _deltas(text, model)]


_TRANSCRIPTS: dict[str, Callable[[str, str], list[dict[str, Any]]]] = {
    "openai": _deltas,
    "vllm": _choices,
    "segments": _segments,
}


def _streamed_wav(pcm: bytes, rate_hz: int) -> bytes:
    file = wav_bytes(pcm, rate_hz)
    info = b"LIST\x1a\0\0\0INFOISFT\x0d\0\0\0Lavf61.7.100\0\0"
    unknown = b"\xff\xff\xff\xff"
    return file[:4] + unknown + file[8:36] + info + b"data" + unknown + pcm + info


_WAVS: dict[str, Callable[[bytes, int], bytes]] = {"whole": wav_bytes, "streamed": _streamed_wav}


def _pieces(sound: bytes) -> list[bytes]:
    return [sound[at : at + CHUNK_BYTES] for at in range(0, len(sound), CHUNK_BYTES)]


def _line(event: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(event)}\n\n".encode()
