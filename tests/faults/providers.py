"""The adapters under test, each with the stand-in that it speaks to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from calls.domain.events import Stage
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
from calls.providers.openai.realtime_voice import RealtimeVoice
from calls.providers.openai.responses import ResponsesLanguageModel
from calls.providers.openai.speech import SpeechEndpoint
from calls.providers.openai.transcription import TranscriptionEndpoint
from tests.doubles.providers.elevenlabs_stt import ElevenLabsHearingDouble
from tests.doubles.providers.elevenlabs_tts import ElevenLabsSpeechDouble
from tests.doubles.providers.openai_audio import OpenAIAudioDouble, tone_of
from tests.doubles.providers.openai_http import OpenAIHttpDouble, says
from tests.doubles.providers.openai_realtime import OpenAIRealtimeDouble
from tests.faults.bench import CLOCK, FAST
from tests.faults.others import SteadyEars, SteadyMind, SteadyVoice

FIRST_WORDS = ("First in line speaking. ", "All is well.")
FIRST_TEXT = "".join(FIRST_WORDS)
SPARE_TEXT = "Next in line speaking."
TOLD = "You said {heard}."
SPOKEN = "This is said aloud, for as long as it takes."
"""What voices are given; long enough for several pieces of sound."""

MS_PER_CHAR = 4
FINAL_WAIT_MS = SILENT_MS = 300 * FAST


@dataclass(frozen=True)
class Provider:
    """An adapter, and how to have it.

    Attributes:
        title: of its table.
        path: where its requests go.
        double: makes its stand-in, which works.
        build: the adapter for that stand-in.
        ready: what the server does before the first call.
    """

    title: str
    stage: Stage
    path: str
    double: Callable[[], Any]
    build: Callable[[Any], Any]
    ready: Callable[[Any], Awaitable[Any]]

    @property
    def vendor(self) -> str:
        return self.title.partition(" ")[0].lower()

    def spare(self) -> Any:
        """The next in line, which never fails."""
        made = {
            Stage.STT: SteadyEars("the second"),
            Stage.LLM: SteadyMind(SPARE_TEXT),
            Stage.TTS: SteadyVoice(),
        }
        return made[self.stage]


def openai_server(double: Any) -> Server:
    return Server(double.base_url, double.key, "openai", "openai")


def elevenlabs(double: Any) -> ElevenLabs:
    return ElevenLabs(double.key, double.origin)


async def _openai_ready(double: Any) -> None:
    await openai_client(openai_server(double))


async def _elevenlabs_ready(double: Any) -> None:
    await elevenlabs_client(elevenlabs(double))


async def _nothing(_double: Any) -> None:
    pass


def _model_double() -> OpenAIHttpDouble:
    double = OpenAIHttpDouble()
    double.answers.extend(says(*FIRST_WORDS) for _ in range(6))
    return double


def _audio_double() -> OpenAIAudioDouble:
    double = OpenAIAudioDouble()
    double.default = "the first"
    double.synthesize = lambda text: tone_of(text, 24_000)[: 48 * MS_PER_CHAR * len(text)]
    return double


def _realtime_ears() -> OpenAIRealtimeDouble:
    double = OpenAIRealtimeDouble()
    double.hears.extend(["the first"] * 6)
    return double


def _realtime_mouth() -> OpenAIRealtimeDouble:
    double = OpenAIRealtimeDouble()
    double.ms_per_char = MS_PER_CHAR
    double.chunk_bytes = 48 * 40
    return double


def _scribe_double() -> ElevenLabsHearingDouble:
    double = ElevenLabsHearingDouble()
    double.default = "the first"
    return double


def _speech_double() -> ElevenLabsSpeechDouble:
    double = ElevenLabsSpeechDouble()
    double.rules.ms_per_char = MS_PER_CHAR
    return double


CHAT = Provider(
    "OpenAI chat completions",
    Stage.LLM,
    "/chat/completions",
    _model_double,
    lambda double: ChatLanguageModel(openai_server(double), "gpt-6-luna"),
    _openai_ready,
)
RESPONSES = Provider(
    "OpenAI Responses",
    Stage.LLM,
    "/responses",
    _model_double,
    lambda double: ResponsesLanguageModel(openai_server(double), "gpt-6-luna"),
    _openai_ready,
)
TRANSCRIPTION = Provider(
    "OpenAI transcription of whole turns",
    Stage.STT,
    "/audio/transcriptions",
    _audio_double,
    lambda double: TranscriptionEndpoint(openai_server(double), "gpt-transcribe"),
    _openai_ready,
)
SPEECH = Provider(
    "OpenAI speech endpoint",
    Stage.TTS,
    "/audio/speech",
    _audio_double,
    lambda double: SpeechEndpoint(openai_server(double), "gpt-5-mini-tts"),
    _openai_ready,
)
LIVE = Provider(
    "OpenAI live transcription",
    Stage.STT,
    "/realtime",
    _realtime_ears,
    lambda double: LiveTranscription(
        openai_server(double), clock=CLOCK, final_wait_ms=FINAL_WAIT_MS
    ),
    _nothing,
)
ALOUD = Provider(
    "OpenAI realtime model that reads aloud",
    Stage.TTS,
    "/realtime",
    _realtime_mouth,
    lambda double: RealtimeVoice(
        openai_server(double), "gpt-realtime-2.1", clock=CLOCK, silent_ms=SILENT_MS
    ),
    _nothing,
)
VOICE_HTTP = Provider(
    "ElevenLabs speech by HTTP",
    Stage.TTS,
    "/stream/with-timestamps",
    _speech_double,
    lambda double: HttpVoice(elevenlabs(double)),
    _elevenlabs_ready,
)
VOICE = Provider(
    "ElevenLabs speech on a socket",
    Stage.TTS,
    "/multi-stream-input",
    _speech_double,
    lambda double: MultiContextVoice(elevenlabs(double), clock=CLOCK, language="en"),
    _nothing,
)
SCRIBE = Provider(
    "ElevenLabs Scribe while the caller speaks",
    Stage.STT,
    "/speech-to-text/realtime",
    _scribe_double,
    lambda double: ScribeLive(
        elevenlabs(double), clock=CLOCK, final_wait_ms=FINAL_WAIT_MS, language="en"
    ),
    _nothing,
)
BATCH = Provider(
    "ElevenLabs Scribe of whole turns",
    Stage.STT,
    "/speech-to-text",
    _scribe_double,
    lambda double: ScribeBatch(elevenlabs(double)),
    _elevenlabs_ready,
)
