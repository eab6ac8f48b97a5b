"""Speech to text turn by turn: one recording for each utterance, to OpenAI or a look-alike."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from openai import AsyncOpenAI

from calls.audio.level import FULL_SCALE, peak
from calls.audio.pcm_stream import wav_bytes
from calls.domain.audio import CALLER
from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import Transcriber
from calls.ports.usage import note
from calls.providers.openai.address import Server
from calls.providers.openai.client import client
from calls.providers.openai.profile import profile
from calls.providers.openai.replies import Events, Reply, is_event_stream, patience, read_out

HANDLED_EVENTS = frozenset({"transcript.text.delta", "transcript.text.done"})
IGNORED_EVENTS = frozenset({"transcript.text.segment"})
"""Who said what when; the text comes in the others as well."""

SHORTEST_MS = 100
LONGEST_MS = 120_000
QUIETEST_STEPS = 8
"""Without a sample above this nobody spoke, whatever a recogniser would make of it: -72 dBFS."""

PROMPT_CHARS = 800

_TURN_MODEL = "gpt-transcribe"
_NO_LANGUAGE = frozenset({"", "und", "mul", "zxx"})

Tell = Callable[[str], None]


class TranscriptionEndpoint:
    """Collects an utterance and sends it as one file when it is finished.

    Text that comes while the server still works on it goes to `partials`. What is shorter than
    100 ms or silent throughout is not sent: nothing was understood.

    Args:
        server: where the model is.
        model: its name there.
        keywords: words to expect, where server and model take them.
        timeout_s: for the whole request.
    """

    def __init__(
        self,
        server: Server,
        model: str,
        *,
        keywords: tuple[str, ...] = (),
        timeout_s: float = 10,
    ) -> None:
        self.name = f"{server.provider}:{model}"
        self._server = server
        self._model = model
        self._keywords = [clean for word in keywords if (clean := _keyword(word))]
        self._timeout_s = timeout_s
        self._profile = profile(server.profile)
        self._streams = self._profile.transcript_stream

    @asynccontextmanager
    async def utterance(self, *, language: str, context: str = "") -> AsyncIterator[Transcriber]:
        async def transcribe(pcm: bytes, tell: Tell) -> str:
            return await self._transcribe(pcm, self._fields(language, context), tell)

        turn = _Turn(transcribe)
        try:
            yield turn
        finally:
            turn.close()

    def _fields(self, language: str, context: str) -> dict[str, Any]:
        """What is said of the recording, as far as server and model take it."""
        fields: dict[str, Any] = {"model": self._model, "response_format": "json"}
        at_turns = self._model.startswith(_TURN_MODEL)
        spoken = language.partition("-")[0].lower()
        if spoken not in _NO_LANGUAGE:
            many = at_turns and self._profile.languages
            fields |= {"languages": [spoken]} if many else {"language": spoken}
        if self._keywords and at_turns and self._profile.keywords:
            fields["keywords"] = self._keywords
        if self._profile.prompt and (said := " ".join(context.split())):
            fields["prompt"] = said[-PROMPT_CHARS:]
        return fields

    async def _transcribe(self, pcm: bytes, fields: dict[str, Any], tell: Tell) -> str:
        reply = Reply(self._server, Stage.STT)
        if len(pcm) > CALLER.bytes(LONGEST_MS):
            raise _too_long(self._server.provider)
        if CALLER.ms(pcm) < SHORTEST_MS or peak(pcm) * FULL_SCALE <= QUIETEST_STEPS:
            return ""
        note(model=self._model, audio_ms=CALLER.ms(pcm))
        fields["file"] = ("turn.wav", wav_bytes(pcm, CALLER.rate_hz), "audio/wav")
        with reply.mapping():
            sdk = await client(self._server)
            async with asyncio.timeout(self._timeout_s):
                text = None
                if self._streams:
                    text = await self._ask(sdk, fields | {"stream": True}, reply, tell)
                    # Who took the word and did nothing will do the same next time.
                    self._streams = text is not None
                if text is None:
                    text = await self._ask(sdk, fields, reply, tell)
                if text is not None:
                    return text
        raise reply.fault(ProviderFault.TRUNCATED)

    async def _ask(
        self, sdk: AsyncOpenAI, fields: dict[str, Any], reply: Reply, tell: Tell
    ) -> str | None:
        """The text; None: there was a stream, with nothing in it."""
        asking = sdk.audio.transcriptions.with_streaming_response.create(
            **fields, timeout=patience(self._timeout_s)
        )
        async with asking as response:
            reply.begin(response)
            if not is_event_stream(response):
                return _whole(json.loads(await response.read()), reply)
            async with aclosing(reply.events(response, sdk)) as events:
                return await _streamed(events, reply, tell)


class _Turn:
    """One utterance; sound beyond what may be sent is not kept."""

    def __init__(self, transcribe: Callable[[bytes, Tell], Awaitable[str]]) -> None:
        self._transcribe = transcribe
        self._pcm = bytearray()
        self._partial = ""
        self._over = False
        self._changed = asyncio.Event()

    async def feed(self, pcm: bytes) -> None:
        if len(self._pcm) <= CALLER.bytes(LONGEST_MS):
            self._pcm += pcm

    async def finish(self) -> str:
        pcm = bytes(self._pcm)
        self._pcm.clear()
        try:
            return await self._transcribe(pcm, self._tell)
        finally:
            self.close()

    async def partials(self) -> AsyncIterator[str]:
        told = ""
        while True:
            if self._partial != told:
                told = self._partial
                yield told
            elif self._over:
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    def close(self) -> None:
        self._over = True
        self._pcm.clear()
        self._changed.set()

    def _tell(self, text: str) -> None:
        self._partial = text.strip() or self._partial
        self._changed.set()


class _Heard:
    """A transcript in the making, in any of the shapes that servers stream.

    Attributes:
        begun: anything came.
        done: the server has said that this is all.
        complete: or its shape knows no better end than the end of the stream.
    """

    def __init__(self) -> None:
        self.text = ""
        self.begun = self.done = self.complete = False

    def take(self, event: Mapping[str, Any]) -> None:
        self.begun = True
        kind = event.get("type")
        if kind == "transcript.text.delta":
            self.text += _text(event.get("delta"))
        elif kind == "transcript.text.done":
            self.text = _text(event.get("text", self.text))
            self.done = self.complete = True
        elif kind is None and isinstance(event.get("choices"), list):
            self._take_choices(event["choices"])
        elif kind is None and "text" in event:
            self._take_segment(_text(event["text"]))
        _note_usage(event.get("usage"))

    def _take_choices(self, choices: list[Any]) -> None:
        """As vLLM: like a chat, and every part of a long recording has an end of its own."""
        for choice in choices[:1]:
            self.text += _text((choice.get("delta") or {}).get("content"))
            self.complete = bool(choice.get("finish_reason"))

    def _take_segment(self, text: str) -> None:
        """As speaches once did: pieces of text with their spaces cut off."""
        apart = not self.text or self.text[-1].isspace() or text[:1].isspace()
        self.text += text if apart else f" {text}"
        self.complete = True


async def _streamed(events: Events, reply: Reply, tell: Tell) -> str | None:
    heard = _Heard()
    while not heard.done and (event := await anext(events, None)) is not None:
        heard.take(event)
        tell(heard.text)
    if heard.done:
        await read_out(events)
    if heard.begun and not heard.complete:
        raise reply.fault(ProviderFault.TRUNCATED)
    return heard.text.strip() if heard.begun else None


def _whole(answer: Any, reply: Reply) -> str:
    """The text of an answer in one piece."""
    text = answer.get("text") if isinstance(answer, Mapping) else None
    if not isinstance(text, str):
        raise reply.payload_error(answer)
    _note_usage(answer.get("usage"))
    return text.strip()


def _note_usage(usage: Any) -> None:
    """What is paid for: tokens, or the length of the recording."""
    if not isinstance(usage, Mapping):
        return
    details = usage.get("input_token_details")
    seconds = usage.get("seconds")
    note(
        input_tokens=_count(usage.get("input_tokens")),
        input_audio_tokens=_count(details.get("audio_tokens"))
        if isinstance(details, Mapping)
        else None,
        output_tokens=_count(usage.get("output_tokens")),
        audio_ms=round(seconds * 1000) if isinstance(seconds, int | float) else None,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _keyword(word: str) -> str:
    """On one line, and without the two characters that are refused."""
    return " ".join(word.replace("<", " ").replace(">", " ").split())


def _too_long(provider: str) -> ProviderError:
    return ProviderError(
        ProviderFault.REFUSED,
        f"More than {LONGEST_MS // 1000} seconds of speech cannot be sent at once.",
        provider=provider,
        stage=Stage.STT,
    )
