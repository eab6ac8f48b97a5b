"""A stand-in for ElevenLabs' text to speech: HTTP, and the two sockets.

Sound is a tone of 60 ms for each character, so that times can be checked by arithmetic. Bodies come
in odd pieces on purpose, and so does the sound on sockets.
"""

import asyncio
import base64
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
from aiohttp import web

from tests.doubles.providers.base import ProviderDouble, Stream, until_gone, whole
from tests.doubles.providers.elevenlabs_contexts import ContextSocket, VoiceRules, cut

RACHEL = "21m00Tcm4TlvDq8ikWAM"
MODELS = (
    "eleven_flash_v2_5",
    "eleven_turbo_v2_5",
    "eleven_multilingual_v2",
    "eleven_v3",
    "eleven_v4",
)
LANGUAGES = ("en", "de", "fr", "es", "it", "no", "fil")
LONGEST_TEXT = 5_000
BODY_CHUNK_BYTES = 4_801
LINE_CHARS = 11
"""Characters in a line of an answer with timestamps; cuts words."""


class ElevenLabsSpeechDouble(ProviderDouble):
    """Speaks, strictly by the rules of the service.

    Attributes:
        rules: what the sockets enforce, and how they spell and align.
        synthesize: makes real speech of a text, 24 kHz PCM, for use by hand; runs in a thread.
        sockets: every multi-context socket, in order.
        voices: known voices, by id.
    """

    def __init__(self, key: str = "test-key") -> None:
        super().__init__(key)
        self.rules = VoiceRules()
        self.synthesize: Callable[[str], bytes] | None = None
        self.sockets: list[ContextSocket] = []
        self.voices: dict[str, str] = {RACHEL: "Rachel"}
        self._numbers = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        speech = "/v1/text-to-speech/{voice}"
        return [
            web.post(speech, self.answering(self._speech)),
            web.post(f"{speech}/stream", self.answering(self._speech)),
            web.post(f"{speech}/stream/with-timestamps", self.answering(self._timed)),
            web.get(f"{speech}/stream-input", self.answering(self._single)),
            web.get(f"{speech}/multi-stream-input", self.answering(self._multi)),
            web.get("/v1/models", self.answering(self._models)),
            web.get("/v1/voices", self.answering(self._voices)),
        ]

    def authorized(self, request: web.Request) -> bool:
        return request.headers.get("xi-api-key") == self.key

    def unauthorized(self) -> web.Response:
        return refused(401, "invalid_api_key", "authentication_error")

    async def sound(self, text: str, *, rate_hz: int = 24_000, speed: float = 1.0) -> bytes:
        """What the text sounds like."""
        if self.synthesize is not None:
            return await asyncio.to_thread(self.synthesize, text)
        return tone(round(len(text) * self.rules.ms_per_char / speed), rate_hz)

    # HTTP

    async def _speech(self, stream: Stream) -> web.StreamResponse | None:
        asked, refusal = await self._asked(stream)
        if refusal is not None:
            return refusal
        rate_hz = _rate_hz(stream.request.query.get("output_format", ""))
        speed = (asked.get("voice_settings") or {}).get("speed") or 1.0
        pcm = await self.sound(asked["text"], rate_hz=rate_hz, speed=speed)
        await stream.begin(self._headers(asked["text"], "audio/pcm"))
        for begin in range(0, len(pcm), BODY_CHUNK_BYTES):
            await self.rules.gate.wait()
            await stream.write(pcm[begin : begin + BODY_CHUNK_BYTES])
        await stream.end()
        return None

    async def _timed(self, stream: Stream) -> web.StreamResponse | None:
        asked, refusal = await self._asked(stream)
        if refusal is not None:
            return refusal
        text = asked["text"]
        speed = (asked.get("voice_settings") or {}).get("speed") or 1.0
        pcm = await self.sound(text, speed=speed)
        await stream.begin(self._headers(text, "application/json"))
        for line in self._lines(text, pcm):
            await self.rules.gate.wait()
            await stream.write(json.dumps(line).encode() + b"\n")
        await stream.end()
        return None

    def _lines(self, text: str, pcm: bytes) -> Iterator[Mapping[str, Any]]:
        """Lines of an answer with timestamps, in seconds from the start of the request."""
        char_s = len(pcm) / 48_000 / len(text)
        for number, begin in enumerate(range(0, len(text), LINE_CHARS)):
            part = text[begin : begin + LINE_CHARS]
            end = begin + len(part)
            # The odd byte goes to the next line.
            sound = pcm[cut(pcm, begin, len(text)) : cut(pcm, end, len(text))]
            aligned = {
                "characters": list(part),
                "character_start_times_seconds": [
                    (begin + n) * char_s for n in range(len(part))
                ],
                "character_end_times_seconds": [
                    (begin + n + 1) * char_s for n in range(len(part))
                ],
            }  # fmt: skip
            told = self.rules.tells(number)
            yield {
                "audio_base64": base64.b64encode(sound).decode(),
                "alignment": aligned if told else None,
                "normalized_alignment": aligned if told else None,
            }

    async def _asked(self, stream: Stream) -> tuple[dict[str, Any], web.Response | None]:
        asked = stream.asked.body = await stream.request.json()
        missing = [name for name in ("text",) if not isinstance(asked.get(name), str)]
        if missing:
            return asked, invalid(*missing)
        return asked, self._refusal(stream, asked)

    def _refusal(self, stream: Stream, asked: Mapping[str, Any]) -> web.Response | None:
        if stream.request.match_info["voice"] not in self.voices:
            return refused(404, "voice_not_found", "not_found")
        if asked.get("model_id") not in MODELS:
            return refused(404, "model_not_found", "not_found")
        if len(asked["text"]) > LONGEST_TEXT:
            return refused(400, "max_character_limit_exceeded")
        if not 0.7 <= ((asked.get("voice_settings") or {}).get("speed") or 1.0) <= 1.2:
            return refused(400, "invalid_voice_settings")
        if asked.get("language_code") not in (None, *LANGUAGES):
            return refused(400, "unsupported_language")
        if not _rate_hz(stream.request.query.get("output_format", "")):
            return refused(400, "unsupported_output_format")
        return None

    def _headers(self, text: str, content_type: str) -> dict[str, str]:
        number = next(self._numbers)
        return {
            "content-type": content_type,
            "request-id": f"request-{number}",
            "history-item-id": f"history-{number}",
            "character-cost": str(len(text)),
            "current-concurrent-requests": "1",
            "maximum-concurrent-requests": "10",
        }

    # Sockets

    async def _single(self, stream: Stream) -> web.StreamResponse | None:
        return await self._socket(stream, "single")

    async def _multi(self, stream: Stream) -> web.StreamResponse | None:
        return await self._socket(stream, "multi")

    async def _socket(
        self, stream: Stream, kind: Literal["single", "multi"]
    ) -> web.StreamResponse | None:
        query = stream.request.query
        if query.get("language_code") not in (None, *LANGUAGES):
            return refused(400, "unsupported_language")
        if query.get("output_format") != "pcm_24000":
            return refused(400, "unsupported_output_format")
        if not 0 < float(query.get("inactivity_timeout", 20)) <= 180:
            return invalid("inactivity_timeout")
        stream.socket = web.WebSocketResponse()
        await stream.socket.prepare(stream.request)
        socket = ContextSocket(stream, self.rules, self.sound, many=kind == "multi")
        if kind == "multi":
            self.sockets.append(socket)
        if self.rules.deaf:
            await until_gone()
        await socket.run(self._objection(stream))
        return None

    def _objection(self, stream: Stream) -> str:
        """Why this voice and model cannot be had on a socket; empty: they can."""
        model = stream.request.query.get("model_id", "")
        if stream.request.match_info["voice"] not in self.voices:
            return "voice_not_found"
        if model not in MODELS:
            return "model_not_found"
        return "invalid_request" if model.startswith(("eleven_v3", "eleven_v4")) else ""

    # Lists

    async def _models(self, stream: Stream) -> web.StreamResponse:
        return whole(
            200,
            [
                {
                    "model_id": model,
                    "name": model,
                    "can_do_text_to_speech": True,
                    "languages": [{"language_id": code, "name": code} for code in LANGUAGES],
                }
                for model in MODELS
            ],
        )

    async def _voices(self, stream: Stream) -> web.StreamResponse:
        voices = [{"voice_id": voice, "name": name} for voice, name in self.voices.items()]
        return whole(200, {"voices": voices})


def refused(status: int, code: str, kind: str = "validation_error") -> web.Response:
    """An error as ElevenLabs words them."""
    return whole(status, error_body(code, status, kind))


def error_body(code: str, status: int = 400, kind: str = "validation_error") -> dict[str, Any]:
    return {
        "detail": {
            "type": kind,
            "code": code,
            "status": code,
            "message": f"The server's words about {code}.",
            "request_id": f"request-of-{status}",
        }
    }


def invalid(*names: str) -> web.Response:
    """The answer to a request with these fields missing or wrong."""
    detail = [{"loc": ["body", name], "msg": "Field required", "type": "missing"} for name in names]
    return whole(422, {"detail": detail})


def tone(ms: int, rate_hz: int) -> bytes:
    """A tone without a single silent sample."""
    times = np.arange(rate_hz * ms // 1000) / rate_hz
    wave = 6_000 * np.sin(2 * np.pi * 220 * times)
    return np.where(np.abs(wave) < 1, 1, wave).astype("<i2").tobytes()


def _rate_hz(output_format: str) -> int:
    """0: not PCM, which this server does not make."""
    codec, _, rate = output_format.partition("_")
    return int(rate) if codec == "pcm" else 0
