"""What `bench.provider_calls` measures: services and sessions, put together as wiring does it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from calls.domain.audio import AGENT
from calls.engine.clock import MonotonicClock
from calls.ports.speech import Answer, Prompt, Services, SpokenAudio, TextDelta
from calls.ports.voice import VoiceProfile, VoiceSession
from calls.providers.cascade.session import Cascade, Manner
from calls.providers.choice.breaker import Breakers
from calls.providers.choice.language_model import ChosenModel
from calls.providers.choice.speech_to_text import ChosenEars
from calls.providers.choice.text_to_speech import ChosenVoice, Voiced
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.elevenlabs.scribe import ScribeLive
from calls.providers.elevenlabs.voice import MultiContextVoice
from calls.providers.openai.address import Server
from calls.providers.openai.client import warm
from calls.providers.openai.live import LiveTranscription
from calls.providers.openai.llm import ChatLanguageModel
from calls.providers.openai.realtime.session import RealtimeSession
from calls.providers.openai.realtime.settings import RealtimeSettings
from calls.providers.openai.realtime_voice import RealtimeVoice
from calls.providers.openai.responses import ResponsesLanguageModel
from calls.providers.openai.speech import SpeechEndpoint
from calls.providers.openai.transcription import TranscriptionEndpoint

CLOCK = MonotonicClock()
KEY = "test-key"
CHAT, REALTIME = "gpt-6-luna", "gpt-realtime-2.1"


@dataclass
class Shared:
    """What all calls of a process share."""

    breakers: Breakers = field(default_factory=lambda: Breakers(CLOCK))

    @property
    def given(self) -> Mapping[str, Any]:
        return {"breakers": self.breakers, "clock": CLOCK}


Make = Callable[[str, Shared], Any]


async def ready(origin: str) -> None:
    """What the server does before its first call."""
    for server in (_openai(origin), _compatible(origin)):
        await warm(server)


# Services that take no time, in this process


class _Understood:
    async def feed(self, pcm: bytes) -> None:
        pass

    async def finish(self) -> str:
        return "What are your opening hours?"

    async def partials(self) -> AsyncIterator[str]:
        for text in ():
            yield text


class _InstantEars:
    name = "here:ears"

    @asynccontextmanager
    async def utterance(self, **_: str) -> AsyncIterator[_Understood]:
        yield _Understood()


class _InstantMind:
    name = "here:mind"

    @asynccontextmanager
    async def answer(self, _: Prompt) -> AsyncIterator[AsyncIterator[Answer]]:
        yield self._parts()

    async def _parts(self) -> AsyncIterator[Answer]:
        for word in ("We ", "are ", "open ", "from ", "nine ", "to ", "five."):
            yield TextDelta(word)


class _InstantVoice:
    """As long as the stand-ins speak, in chunks of 100 ms."""

    name = "here:voice"
    _CHUNK = b"\x10\x00\xf0\xff" * (AGENT.bytes(100) // 4)

    @asynccontextmanager
    async def speak(self, text: str, **_: object) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        yield self._sound(len(text) * 60)

    async def _sound(self, ms: int) -> AsyncIterator[SpokenAudio]:
        for _ in range(ms // 100):
            yield SpokenAudio(self._CHUNK)


# Services by name


def _openai(origin: str) -> Server:
    return Server(f"{origin}/v1", KEY, "openai", "openai")


def _compatible(origin: str) -> Server:
    return Server(f"{origin}/v1", KEY, "compatible", "generic")


def _eleven(origin: str) -> ElevenLabs:
    return ElevenLabs(KEY, origin)


def _ears(make: Callable[[str], Any]) -> Make:
    return lambda origin, shared: ChosenEars([make(origin)], **shared.given)


def _mind(make: Callable[[str], Any]) -> Make:
    return lambda origin, shared: ChosenModel([make(origin)], **shared.given)


def _voice(make: Callable[[str], Any]) -> Make:
    return lambda origin, shared: ChosenVoice([Voiced(make(origin))], **shared.given)


HERE = "in process, scripted"
SCRIBE, LIVE = "elevenlabs", "openai-live"

EARS: Mapping[str, Make] = {
    HERE: _ears(lambda _: _InstantEars()),
    SCRIBE: _ears(lambda o: ScribeLive(_eleven(o), clock=CLOCK, language="en")),
    LIVE: _ears(lambda o: LiveTranscription(_openai(o), clock=CLOCK)),
    "compatible": _ears(lambda o: TranscriptionEndpoint(_compatible(o), "whisper")),
}
MINDS: Mapping[str, Make] = {
    HERE: _mind(lambda _: _InstantMind()),
    "openai": _mind(lambda o: ChatLanguageModel(_openai(o), CHAT)),
    "compatible": _mind(lambda o: ChatLanguageModel(_compatible(o), CHAT)),
    "openai-responses": _mind(lambda o: ResponsesLanguageModel(_openai(o), CHAT)),
}
VOICES: Mapping[str, Make] = {
    HERE: _voice(lambda _: _InstantVoice()),
    "elevenlabs": _voice(lambda o: MultiContextVoice(_eleven(o), clock=CLOCK)),
    "openai-realtime": _voice(lambda o: RealtimeVoice(_openai(o), REALTIME, clock=CLOCK)),
    "compatible": _voice(lambda o: SpeechEndpoint(_compatible(o), "kokoro")),
}


# Sessions by name


def _cascade(ears: str, mind: str, voice: str) -> Callable[[str, Shared], VoiceSession]:
    def make(origin: str, shared: Shared) -> VoiceSession:
        return Cascade(
            Services(
                stt=EARS[ears](origin, shared),
                llm=MINDS[mind](origin, shared),
                tts=VOICES[voice](origin, shared),
            ),
            Manner(system_prompt="Be kind.", language="en"),
            profile=VoiceProfile("", "", ""),
            clock=CLOCK,
        )

    return make


def _speech_to_speech(origin: str, _shared: Shared) -> VoiceSession:
    return RealtimeSession(
        _openai(origin),
        RealtimeSettings(model=REALTIME, system_prompt="Be kind."),
        profile=VoiceProfile("", "", ""),
        clock=CLOCK,
        apology_voice=None,
    )


SPEECH_TO_SPEECH = "OpenAI Realtime, speech to speech"

PIPELINES: Mapping[str, Callable[[str, Shared], VoiceSession]] = {
    HERE: _cascade(HERE, HERE, HERE),
    "ElevenLabs ears and voice, OpenAI chat": _cascade(SCRIBE, "openai", "elevenlabs"),
    "OpenAI live, chat, realtime voice": _cascade(LIVE, "openai", "openai-realtime"),
    "compatible servers, HTTP": _cascade("compatible", "compatible", "compatible"),
    SPEECH_TO_SPEECH: _speech_to_speech,
}
