"""An agent's `speech_to_text` as a recogniser, and the keeping of the last utterance."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from calls.agents import VoiceAgent
from calls.agents.calling import call
from calls.audio.wav import header
from calls.domain.audio import CALLER
from calls.domain.events import Stage
from calls.ports.speech import CallScoped, SpeechToText, Transcriber
from calls.providers.code.faults import NAME, guarded, invalid

METHOD = "speech_to_text"


def wav_of(pcm: bytes) -> bytes:
    """The caller's sound as a WAV file."""
    return header(CALLER.rate_hz, 1, len(pcm)) + pcm


class CodeSpeechToText:
    """Understands what the agent's code does. `SpeechToText` says what is promised."""

    name = NAME

    def __init__(self, agent: VoiceAgent) -> None:
        self._agent = agent

    @asynccontextmanager
    async def utterance(
        self,
        *,
        language: str,  # noqa: ARG002 - the agent knows its call
        context: str = "",
    ) -> AsyncIterator[Transcriber]:
        yield _Utterance(self._agent, context)


class _Utterance:
    def __init__(self, agent: VoiceAgent, context: str) -> None:
        self._agent = agent
        self._context = context
        self._pcm = bytearray()

    async def feed(self, pcm: bytes) -> None:
        self._pcm += pcm

    async def finish(self) -> str:
        audio = wav_of(bytes(self._pcm))
        with guarded(self._agent.call, METHOD, Stage.STT):
            text = await call(self._agent.speech_to_text, audio, self._context or None)
        if text is not None and not isinstance(text, str):
            raise invalid(METHOD, f"{type(text).__name__}, which is no text", Stage.STT)
        return (text or "").strip()

    async def partials(self) -> AsyncIterator[str]:
        nothing: tuple[str, ...] = ()
        for text in nothing:
            yield text


class KeepingSpeechToText:
    """A recogniser, and a listener who gets every utterance as a WAV file when it is complete."""

    def __init__(self, inner: SpeechToText, keep: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._keep = keep

    @property
    def name(self) -> str:
        return self._inner.name

    async def __aenter__(self) -> "KeepingSpeechToText":
        if isinstance(self._inner, CallScoped):
            await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if isinstance(self._inner, CallScoped):
            await self._inner.__aexit__(*exc)

    def warm(self) -> None:
        if isinstance(self._inner, CallScoped):
            self._inner.warm()

    @asynccontextmanager
    async def utterance(self, *, language: str, context: str = "") -> AsyncIterator[Transcriber]:
        async with self._inner.utterance(language=language, context=context) as transcriber:
            yield _Kept(transcriber, self._keep)


class _Kept:
    def __init__(self, inner: Transcriber, keep: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._keep = keep
        self._pcm = bytearray()

    async def feed(self, pcm: bytes) -> None:
        self._pcm += pcm
        await self._inner.feed(pcm)

    async def finish(self) -> str:
        self._keep(wav_of(bytes(self._pcm)))
        return await self._inner.finish()

    def partials(self) -> AsyncIterator[str]:
        return self._inner.partials()
