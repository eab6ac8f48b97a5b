"""Scribe for whole recordings: one request for every utterance. Importing this takes a second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil
from typing import Any

from elevenlabs.core.request_options import RequestOptions

from calls.domain.audio import CALLER
from calls.domain.events import Stage
from calls.ports.errors import ProviderFault
from calls.ports.usage import note
from calls.providers.elevenlabs.address import NAME, ElevenLabs
from calls.providers.elevenlabs.client import CAUGHT, ONCE, client, provider_error
from calls.providers.elevenlabs.faults import fault
from calls.providers.elevenlabs.scribe_messages import language_code

MODEL = "scribe_v2"
TIMEOUT_S = 10.0
LONGEST_BYTES = CALLER.bytes(300_000)
"""Five minutes; what is said after them is not understood."""
SHORTEST_BYTES = CALLER.bytes(100)
"""In less there are no words."""


class ScribeBatch:
    """Speech to text that begins once an utterance is complete; serves many calls at once.

    Args:
        timeout_s: for the whole of a request.
    """

    def __init__(
        self, address: ElevenLabs, model: str = MODEL, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.name = f"{NAME}:{model}"
        self._address = address
        self._model = model
        self._timeout_s = timeout_s

    @asynccontextmanager
    async def utterance(
        self,
        *,
        language: str,
        context: str = "",  # noqa: ARG002 - whole recordings take none
    ) -> AsyncIterator["RecordedUtterance"]:
        yield RecordedUtterance(self, language)

    async def text(self, pcm: bytes, language: str) -> str:
        """What is said in `pcm`, `audio.CALLER`; empty if nothing was understood.

        Raises:
            ProviderError: stage STT.
        """
        note(model=self._model, audio_ms=CALLER.ms(pcm))
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._ask(pcm, language)
        except TimeoutError:
            raise fault(ProviderFault.TIMEOUT, stage=Stage.STT) from None
        except CAUGHT as error:
            raise provider_error(error, stage=Stage.STT) from None
        request_id = answer.headers.get("request-id", "")
        note(request_id=request_id)
        text = getattr(answer.data, "text", None)
        if not isinstance(text, str):
            raise fault(ProviderFault.INVALID, stage=Stage.STT, request_id=request_id)
        return text.strip()

    async def _ask(self, pcm: bytes, language: str) -> Any:
        sdk = await client(self._address)
        code = language_code(language)
        spoken: dict[str, Any] = {"language_code": code} if code else {}
        return await sdk.speech_to_text.with_raw_response.convert(
            model_id=self._model,
            file=("utterance.pcm", pcm, "application/octet-stream"),
            file_format="pcm_s16le_16",
            tag_audio_events=False,
            timestamps_granularity="none",
            request_options=RequestOptions(
                timeout_in_seconds=ceil(self._timeout_s), max_retries=ONCE["max_retries"]
            ),
            **spoken,
        )


class RecordedUtterance:
    """A `Transcriber` that keeps what it is fed."""

    def __init__(self, scribe: ScribeBatch, language: str) -> None:
        self._scribe = scribe
        self._language = language
        self._pcm = bytearray()

    async def feed(self, pcm: bytes) -> None:
        self._pcm += pcm[: LONGEST_BYTES - len(self._pcm)]

    async def finish(self) -> str:
        if len(self._pcm) < SHORTEST_BYTES:
            return ""
        return await self._scribe.text(bytes(self._pcm), self._language)

    async def partials(self) -> AsyncIterator[str]:
        nothing: tuple[str, ...] = ()
        for text in nothing:
            yield text
