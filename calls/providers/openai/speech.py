"""Text to speech by OpenAI's speech endpoint: the dialect that self-hosted voices speak."""

import base64
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx2
from openai import AsyncOpenAI

from calls.audio.pcm_stream import PcmStream
from calls.domain.audio import AGENT
from calls.domain.events import Stage
from calls.ports.errors import ProviderFault
from calls.ports.speech import SpokenAudio
from calls.ports.usage import note
from calls.providers.openai.address import Server
from calls.providers.openai.client import client
from calls.providers.openai.profile import profile
from calls.providers.openai.replies import Reply, content_type, is_event_stream, patience, read_out

HANDLED_EVENTS = frozenset({"speech.audio.delta", "speech.audio.done"})

LONGEST_CHARS = 4_096
SLOWEST, FASTEST = 0.25, 4.0

_VOICE = "alloy"
_VOICES = {"kokoro": "af_heart", "speaches": "af_heart"}
_RATE_HEADERS = ("x-audio-sample-rate", "x-sample-rate")
_RATE = re.compile(r"(?:^|;)\s*rate=\"?(\d+)")


class SpeechEndpoint:
    """Streams the sound of a text as it is made. There are no word marks.

    Args:
        server: where the model is.
        model: its name there.
        response_format: "pcm", or "wav" for servers that make nothing else.
        rate_hz: of raw PCM, 8,000 to 48,000; None: as the server says, else 24,000.
        timeout_s: how long the server may be silent.

    Raises:
        ValueError: another format, or a rate out of range.
    """

    def __init__(
        self,
        server: Server,
        model: str,
        *,
        response_format: str = "pcm",
        rate_hz: int | None = None,
        timeout_s: float = 5,
    ) -> None:
        if response_format not in ("pcm", "wav"):
            raise ValueError(f"speech comes as pcm or wav, not as {response_format!r}")
        PcmStream(rate_hz)
        self.name = f"{server.provider}:{model}"
        self._server = server
        self._model = model
        self._format = response_format
        self._rate_hz = rate_hz
        self._timeout_s = timeout_s

    @asynccontextmanager
    async def speak(
        self,
        text: str,
        *,
        language: str,  # noqa: ARG002 - the endpoint goes by the text and the voice
        voice: str,
        speed: float,
    ) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        async with aclosing(self._spoken(text, self._fields(voice, speed))) as audio:
            yield audio

    def _fields(self, voice: str, speed: float) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "model": self._model,
            "voice": voice or _VOICES.get(self._server.profile, _VOICE),
            "response_format": self._format,
        }
        if (pace := min(max(speed, SLOWEST), FASTEST)) != 1.0:
            fields["speed"] = pace
        if profile(self._server.profile).speech_stream and not self._model.startswith("tts-1"):
            fields["stream_format"] = "sse"
        return fields

    async def _spoken(self, text: str, fields: dict[str, Any]) -> AsyncGenerator[SpokenAudio, None]:
        """The sound of the whole text, one request after the other."""
        bill = _Bill(self._model)
        for piece in pieces(text):
            bill.begin(piece)
            async with aclosing(self._sound(fields | {"input": piece}, bill)) as sound:
                async for pcm in sound:
                    yield SpokenAudio(pcm)

    async def _sound(self, request: dict[str, Any], bill: "_Bill") -> AsyncGenerator[bytes, None]:
        reply, sounded = Reply(self._server, Stage.TTS), False
        with reply.mapping():
            sdk = await client(self._server)
            asking = sdk.audio.speech.with_streaming_response.create(
                **request, timeout=patience(self._timeout_s)
            )
            async with asking as response:
                reply.begin(response)
                reader = await self._reader(response, reply)
                async with aclosing(_body(response, sdk, reply, bill)) as body:
                    async for data in body:
                        if pcm := reader.feed(data):
                            sounded = True
                            yield bill.sounding(pcm)
                if pcm := reader.end():
                    sounded = True
                    yield bill.sounding(pcm)
        if not sounded or not reader.complete:
            raise reply.fault(ProviderFault.TRUNCATED)

    async def _reader(self, response: Any, reply: Reply) -> PcmStream:
        """For the sound in this response.

        Raises:
            ProviderError: it holds none, but words.
        """
        kind = content_type(response)
        if "json" in kind:
            raise reply.payload_error(json.loads(await response.read()))
        if kind.startswith("text/") and not is_event_stream(response):
            raise reply.fault(ProviderFault.INVALID)
        if self._format == "wav":
            return PcmStream()
        return PcmStream(self._rate_hz or _rate_hz(response) or AGENT.rate_hz)


class _Bill:
    """What the requests for one text come to, so far."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._characters = 0
        self._size_bytes = 0
        self._asked_tokens = self._made_tokens = 0

    def begin(self, text: str) -> None:
        self._characters += len(text)
        note(model=self._model, characters=self._characters)

    def sounding(self, pcm: bytes) -> bytes:
        self._size_bytes += len(pcm)
        note(spoken_ms=AGENT.ms_of(self._size_bytes))
        return pcm

    def add(self, usage: Any) -> None:
        told = usage if isinstance(usage, dict) else {}
        asked, made = told.get("input_tokens"), told.get("output_tokens")
        if isinstance(asked, int) and isinstance(made, int):
            self._asked_tokens += asked
            self._made_tokens += made
            note(input_tokens=self._asked_tokens, output_tokens=self._made_tokens)


async def _body(
    response: Any, sdk: AsyncOpenAI, reply: Reply, bill: _Bill
) -> AsyncGenerator[bytes, None]:
    if is_event_stream(response):
        async with aclosing(_events(response, sdk, reply, bill)) as events:
            async for data in events:
                yield data
        return
    try:
        async for data in response.iter_bytes():
            yield data
    except httpx2.RemoteProtocolError:
        # It ended properly, but before the length it had announced.
        if "content-length" in response.headers:
            raise reply.fault(ProviderFault.TRUNCATED) from None
        raise


async def _events(
    response: Any, sdk: AsyncOpenAI, reply: Reply, bill: _Bill
) -> AsyncGenerator[bytes, None]:
    done = False
    async with aclosing(reply.events(response, sdk)) as events:
        async for event in events:
            if event.get("type") == "speech.audio.delta":
                yield base64.b64decode(str(event.get("audio", "")), validate=True)
            elif event.get("type") == "speech.audio.done":
                bill.add(event.get("usage"))
                done = True
                await read_out(events)
    if not done:
        raise reply.fault(ProviderFault.TRUNCATED)


def pieces(text: str) -> Iterator[str]:
    """The text in parts that one request may hold, cut at spaces where there are any."""
    rest = text.strip()
    while len(rest) > LONGEST_CHARS:
        at = rest.rfind(" ", 0, LONGEST_CHARS + 1)
        at = at if at > 0 else LONGEST_CHARS
        yield rest[:at].rstrip()
        rest = rest[at:].lstrip()
    if rest:
        yield rest


def _rate_hz(response: Any) -> int | None:
    """What the server says of its raw PCM."""
    for name in _RATE_HEADERS:
        if (said := response.headers.get(name, "")).isdecimal():
            return int(said)
    found = _RATE.search(response.headers.get("content-type", ""))
    return int(found[1]) if found else None
