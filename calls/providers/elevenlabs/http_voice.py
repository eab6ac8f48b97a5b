"""ElevenLabs' voices by HTTP: a request for every piece of text, and every model there is."""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Any
from urllib.parse import quote

from elevenlabs.core.http_response import AsyncHttpResponse

from calls.domain.events import Stage
from calls.ports.errors import ProviderFault
from calls.ports.speech import SpokenAudio
from calls.ports.usage import note
from calls.providers.elevenlabs.address import NAME, ElevenLabs
from calls.providers.elevenlabs.alignment import Timing, line_timing
from calls.providers.elevenlabs.client import CAUGHT, ONCE, client, provider_error
from calls.providers.elevenlabs.faults import fault, refusal
from calls.providers.elevenlabs.request import (
    DEFAULT_VOICE,
    OUTPUT_FORMAT,
    Timbre,
    language_code,
    only_by_http,
)
from calls.providers.elevenlabs.sound import Chunk, spoken

CHUNK_BYTES = 2_400
"""50 ms; of a body without lines."""

_Answering = AbstractAsyncContextManager[AsyncHttpResponse[Any]]


class HttpVoice:
    """A `TextToSpeech` for many calls at once.

    Voices are named by their ids, not by the names that people give them; empty is
    `DEFAULT_VOICE`. Every piece is made for itself: the voice does not know what it said before.

    Models whose names begin with eleven_v3 or eleven_v4 give no marks, and what of their sound is
    missing at the end goes unnoticed; with the others it is told, as their words are marked.

    Args:
        silence_s: how long the service may be silent; None: as `client` has it.
    """

    def __init__(
        self,
        address: ElevenLabs,
        model: str = "eleven_flash_v2_5",
        *,
        timbre: Timbre | None = None,
        silence_s: float | None = None,
    ) -> None:
        self.name = f"{NAME}:{model}"
        self._address = address
        self._model = model
        self._timbre = timbre or Timbre()
        self._silence_s = silence_s

    @asynccontextmanager
    async def speak(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        wanted = self._wanted(text, language, speed)
        note(model=self._model, characters=len(text))
        async with AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(
                    await self._request(quote(voice or DEFAULT_VOICE, safe=""), wanted)
                )
            except CAUGHT as error:
                raise provider_error(error, stage=Stage.TTS) from None
            told = answer.headers
            cost = told.get("character-cost", "")
            note(
                request_id=told.get("request-id", ""),
                character_cost=int(cost) if cost.isdecimal() else None,
            )
            sound = spoken(text, self._chunks(answer), end_is_told=False)
            yield await stack.enter_async_context(aclosing(sound))

    def _wanted(self, text: str, language: str, speed: float) -> dict[str, Any]:
        """What both kinds of request are made with."""
        settings = self._timbre.settings(speed)
        code = language_code(self._model, language)
        return {
            "text": text,
            "model_id": self._model,
            "output_format": OUTPUT_FORMAT,
            "apply_text_normalization": "auto",
            **({"voice_settings": settings} if settings else {}),
            **({"language_code": code} if code else {}),
            "request_options": {
                **ONCE,
                "chunk_size": CHUNK_BYTES,
                **({"timeout_in_seconds": self._silence_s} if self._silence_s else {}),
            },
        }

    async def _request(self, voice: str, wanted: dict[str, Any]) -> _Answering:
        speech = (await client(self._address)).text_to_speech.with_raw_response
        ask = speech.stream if only_by_http(self._model) else speech.stream_with_timestamps
        answering: _Answering = ask(voice, **wanted)
        return answering

    async def _chunks(self, answer: AsyncHttpResponse[Any]) -> AsyncGenerator[Chunk, None]:
        request_id = answer.headers.get("request-id", "")
        try:
            if only_by_http(self._model):
                async for pcm in answer.data:
                    yield Chunk(pcm, Timing(None, None))
                return
            # Not `answer.data`: it skips what it cannot read, and sound would be missing unnoticed.
            async for line in answer._response.aiter_lines():
                if line.strip():
                    yield _chunk(line, request_id)
        except CAUGHT as error:
            raise provider_error(error, stage=Stage.TTS, request_id=request_id) from None


def _chunk(line: str, request_id: str) -> Chunk:
    """A line of an answer with timestamps.

    Raises:
        ProviderError: it is none, or tells of a failure.
    """
    try:
        value = json.loads(line)
        if "detail" in value:
            raise refusal(500, {}, value, stage=Stage.TTS, request_id=request_id)
        pcm = base64.b64decode(value["audio_base64"] or "", validate=True)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise fault(ProviderFault.INVALID, stage=Stage.TTS, request_id=request_id) from None
    return Chunk(pcm, line_timing(value))
