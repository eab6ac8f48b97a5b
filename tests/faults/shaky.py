"""Stand-ins for all providers at which anything may go wrong at any time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from aiohttp import web

from calls.ports.tools import ToolSpec
from calls.ports.voice import VoiceProfile
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.elevenlabs.batch import ScribeBatch
from calls.providers.elevenlabs.client import client as elevenlabs_client
from calls.providers.elevenlabs.http_voice import HttpVoice
from calls.providers.elevenlabs.scribe import ScribeLive
from calls.providers.elevenlabs.voice import MultiContextVoice
from calls.providers.openai.address import Server
from calls.providers.openai.client import client as openai_client
from calls.providers.openai.live import LiveTranscription
from calls.providers.openai.llm import ChatLanguageModel
from calls.providers.openai.realtime.session import RealtimeSession
from calls.providers.openai.realtime.settings import RealtimeSettings
from calls.providers.openai.realtime_voice import RealtimeVoice
from calls.providers.openai.responses import ResponsesLanguageModel
from calls.providers.openai.speech import SpeechEndpoint
from calls.providers.openai.transcription import TranscriptionEndpoint
from tests.doubles.providers.base import EndedEarlyError, Fault, Handler, ProviderDouble, Stream
from tests.doubles.providers.elevenlabs_stt import ElevenLabsHearingDouble
from tests.doubles.providers.elevenlabs_tts import ElevenLabsSpeechDouble
from tests.doubles.providers.openai_audio import OpenAIAudioDouble, tone_of
from tests.doubles.providers.openai_http import OpenAIHttpDouble, calls_tool, says
from tests.doubles.providers.openai_realtime import CallsTool, Fails, OpenAIRealtimeDouble, Says
from tests.faults.bench import CLOCK
from tests.faults.others import LAST_SAMPLE, SteadyVoice

SHARE = 0.3
"""So many requests go wrong."""
SLOW_S = 0.05
LIVES_S = (0.3, 2.5)
"""So long does a connection live that is cut at some time."""

MS_PER_CHAR = 8
FINAL_WAIT_MS = 200
SENTENCES = ("All is well. ", "It is a fine day, and nobody is late. ", "Is there anything else? ")
RACES = {"response_cancel_not_active", "input_audio_buffer_commit_empty"}
"""What a server answers when both sides acted at once."""

STATUSES = (400, 401, 404, 408, 429, 429, 500, 502, 503, 503)


class Shaky(ProviderDouble):
    """Mixed into a stand-in.

    Attributes:
        random: decides what goes wrong.
        broken_rules: what the stand-in complained of by itself.
        mute: so many streams ended properly without a single event; such are asked for anew.
    """

    random: Random

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.random = random
        self.broken_rules: list[Any] = []
        self.mute = 0

    def answering(self, handle: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def watched(stream: Stream) -> web.StreamResponse | None:
            self._watch(stream)
            await asyncio.sleep(self.random.uniform(0, SLOW_S))
            try:
                async with asyncio.timeout(self._life_s(stream.fault)):
                    answer = await handle(stream)
            except TimeoutError:
                stream.abort()
                return web.Response()
            except EndedEarlyError:
                self.mute += stream.fault.clean_eof and stream.asked.sent == 0
                raise
            if answer is not None and answer.status >= 400:
                self.broken_rules.append((answer.status, stream.asked.body))
            return answer

        return super().answering(watched)

    def _life_s(self, fault: Fault) -> float | None:
        """None: as long as both sides want. What stalls does not do so for ever."""
        short = fault.stall or self.random.random() < SHARE / 3
        return self.random.uniform(*LIVES_S) if short else None

    def _watch(self, stream: Stream) -> None:
        send, struck = stream.send, stream.fault.event

        async def watched(message: Mapping[str, Any]) -> None:
            if message is not struck and _complains(message):
                self.broken_rules.append(message)
            await send(message)

        stream.send = watched  # type: ignore[method-assign]

    def _fault(self, path: str) -> Fault:
        if self.random.random() > SHARE:
            return Fault(after=-1)
        return self.random.choice((self._refuses, self._breaks))()

    def _refuses(self) -> Fault:
        status = self.random.choice((0, *STATUSES))
        if not status:
            return self.random.choice((Fault(drop_before_headers=True), Fault(stall_headers=True)))
        headers = {"retry-after": "1"} if status == 429 and self.random.random() < 0.5 else {}
        return Fault(status=status, headers=headers, body=self.random.choice(("<html>", {})))

    def _breaks(self) -> Fault:
        after = self.random.randint(0, 12)
        error = {"type": "error", "error": {"type": "server_error", "code": "x", "message": "Oh."}}
        strikes: Sequence[Mapping[str, Any]] = (
            {"drop": True, "ws_close": (1011, "Oh.")},
            {"clean_eof": True, "ws_close": (1000, "")},
            {"stall": True},
            {"garbage": "data: {broken\n\n", "ws_garbage": "{broken"},
            {"event": error},
        )
        return Fault(after=after, **self.random.choice(strikes))


def _complains(message: Mapping[str, Any]) -> bool:
    error = message.get("error")
    if not error:
        return False
    code = error.get("code") if isinstance(error, Mapping) else error
    return code not in RACES and message.get("type") != "response.done"


class ShakyModels(Shaky, OpenAIHttpDouble):
    def _writing(self, body: Mapping[str, Any], asked: Any) -> Any:
        if body.get("tools") and self.random.random() < 0.3:
            self.answers.append(calls_tool("clock"))
        else:
            self.answers.append(says(*SENTENCES[: self.random.randint(1, 3)]))
        return super()._writing(body, asked)


class ShakyAudio(Shaky, OpenAIAudioDouble):
    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.synthesize = lambda text: tone_of(text, 24_000)[: 48 * MS_PER_CHAR * len(text)]


class ShakyRealtime(Shaky, OpenAIRealtimeDouble):
    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.ms_per_char = MS_PER_CHAR

    async def answer(self, session: Any, params: Mapping[str, Any], *, beside: bool) -> list[Any]:
        dice = self.random.random()
        if dice < 0.1:
            return [Fails()]
        if beside:
            return await super().answer(session, params, beside=True)
        offered = session.config["tools"] and params.get("tool_choice") != "none"
        if offered and dice < 0.4:
            return [CallsTool("clock")]
        return [Says(*SENTENCES[: self.random.randint(1, 3)])]


class ShakyScribe(Shaky, ElevenLabsHearingDouble):
    pass


class ShakySpeech(Shaky, ElevenLabsSpeechDouble):
    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.rules.ms_per_char = MS_PER_CHAR


class StandIns:
    """One of each; all their chances come from one source."""

    def __init__(self, random: Random) -> None:
        self.models = ShakyModels(random)
        self.audio = ShakyAudio(random)
        self.voices = ShakyRealtime(random)
        self.scribe = ShakyScribe(random)
        self.speech = ShakySpeech(random)
        self.all = (self.models, self.audio, self.voices, self.scribe, self.speech)

    @property
    def openai(self) -> Server:
        return Server(self.models.base_url, self.models.key, "openai", "openai")

    @property
    def elevenlabs(self) -> ElevenLabs:
        return ElevenLabs(self.speech.key, self.speech.origin)

    async def ready(self) -> None:
        """What a server does before its first call."""
        await openai_client(self.openai)
        await elevenlabs_client(self.elevenlabs)

    def realtime(self, tool: ToolSpec) -> RealtimeSession:
        return RealtimeSession(
            self.openai,
            RealtimeSettings(
                model="gpt-realtime-2.1",
                tools=(tool,),
                transcription_model="gpt-4o-transcribe",
            ),
            profile=VoiceProfile("", "", ""),
            clock=CLOCK,
            apology_voice=SteadyVoice(LAST_SAMPLE, "last:voice"),
        )


@dataclass(frozen=True)
class Provider:
    """An adapter, and what its stand-in saw of it.

    Attributes:
        requests: so many requests arrived, or pieces of work on sockets.
        socket: a piece of work may be told of on a second socket when the first is lost, or never.
    """

    stage: str
    vendor: str
    model: str
    build: Callable[[StandIns], Any]
    requests: Callable[[StandIns], int]
    socket: bool = False


def _said(double: ProviderDouble, path: str, kind: str, model: str = "") -> int:
    """Messages of that type on sockets for that model."""
    asked = [one for one in double.requests(path) if one.query.get("model", "") == model]
    return sum(m.get("type") == kind for one in asked for m in one.body or ())


LIVE, WHOLE, SCRIBE, BATCH = (
    "gpt-live-transcribe",
    "gpt-transcribe",
    "scribe_v2_realtime",
    "scribe_v2",
)
CHAT, RESPONSES = "gpt-6-luna", "gpt-5.4-mini"
FLASH, TURBO, SPEECH, ALOUD = (
    "eleven_flash_v2_5",
    "eleven_turbo_v2_5",
    "gpt-5-mini-tts",
    "gpt-realtime-2",
)

PROVIDERS: Mapping[str, Sequence[Provider]] = {
    "stt": (
        Provider(
            "stt",
            "elevenlabs",
            SCRIBE,
            lambda s: ScribeLive(
                s.elevenlabs, SCRIBE, clock=CLOCK, final_wait_ms=FINAL_WAIT_MS, language="en"
            ),
            lambda s: len(s.scribe.commits),
            socket=True,
        ),
        Provider(
            "stt",
            "openai",
            LIVE,
            lambda s: LiveTranscription(s.openai, LIVE, clock=CLOCK, final_wait_ms=FINAL_WAIT_MS),
            lambda s: _said(s.voices, "/realtime", "input_audio_buffer.commit"),
            socket=True,
        ),
        Provider(
            "stt",
            "openai",
            WHOLE,
            lambda s: TranscriptionEndpoint(s.openai, WHOLE),
            lambda s: len(s.audio.requests("/transcriptions")),
        ),
        Provider(
            "stt",
            "elevenlabs",
            BATCH,
            lambda s: ScribeBatch(s.elevenlabs, BATCH),
            lambda s: len(s.scribe.requests("/speech-to-text")),
        ),
    ),
    "llm": (
        Provider(
            "llm",
            "openai",
            CHAT,
            lambda s: ChatLanguageModel(s.openai, CHAT),
            lambda s: len(s.models.requests("/chat/completions")),
        ),
        Provider(
            "llm",
            "openai",
            RESPONSES,
            lambda s: ResponsesLanguageModel(s.openai, RESPONSES),
            lambda s: len(s.models.requests("/responses")),
        ),
    ),
    "tts": (
        Provider(
            "tts",
            "elevenlabs",
            FLASH,
            lambda s: MultiContextVoice(s.elevenlabs, FLASH, clock=CLOCK),
            lambda s: sum(len(socket.opened) for socket in s.speech.sockets),
            socket=True,
        ),
        Provider(
            "tts",
            "elevenlabs",
            TURBO,
            lambda s: HttpVoice(s.elevenlabs, TURBO),
            lambda s: len(s.speech.requests("/with-timestamps")),
        ),
        Provider(
            "tts",
            "openai",
            SPEECH,
            lambda s: SpeechEndpoint(s.openai, SPEECH),
            lambda s: len(s.audio.requests("/speech")),
        ),
        Provider(
            "tts",
            "openai",
            ALOUD,
            lambda s: RealtimeVoice(s.openai, ALOUD, clock=CLOCK),
            lambda s: _said(s.voices, "/realtime", "response.create", ALOUD),
            socket=True,
        ),
    ),
}
