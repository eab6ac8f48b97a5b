"""Providers by the name that agents use, as far as this installation has them.

Adapters of network providers are imported when one is built: their SDKs take up to a second.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from calls.conf import calls_settings
from calls.domain.events import Stage
from calls.models.providers import AUTO, EMBEDDED
from calls.ports.speech import LanguageModel, SpeechToText, TextToSpeech
from calls.providers.catalogue import model_default
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.embedded.script import ScriptedAgent
from calls.providers.local.shelf import Shelf
from calls.providers.openai.address import Server
from calls.wiring.shared import CLOCK, local_speech, speech

OPENAI, ELEVENLABS, COMPATIBLE = "openai", "elevenlabs", "compatible"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an agent asks of a provider. An empty model is the provider's default.

    `language` is a BCP 47 tag: what connects ahead of the first word needs it, and the voice.
    """

    model: str = ""
    language: str = ""
    voice: str = ""
    temperature: float | None = None
    max_output_tokens: int | None = None
    noise_reduction: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A provider for a stage.

    Attributes:
        name: as agents name it.
        vendor: whose service it is; provider of the models in the catalogue.
        role: in the catalogue; empty for providers without hosted models.
        needs: the setting without which there is none; empty: always there.
        build: makes the service, for one call.
        by_itself: whether an agent that leaves the choice to us may get it.
        engine: of downloaded models, of which there may be none yet.
    """

    name: str
    vendor: str
    build: Callable[[Wanted], Any]
    role: str = ""
    needs: str = ""
    by_itself: bool = True
    engine: str = ""

    def missing(self) -> str:
        """What has to be done before it can be used; empty: nothing. Reads the disk."""
        if not self.there:
            return self.needs
        shelf = Shelf(calls_settings().local_models_dir)
        if self.engine and not shelf.installed_of(self.engine):
            return "manage.py local_speech install"
        return ""

    @property
    def there(self) -> bool:
        """Whether the installation has what it needs."""
        return not self.needs or bool(getattr(calls_settings(), self.needs.lower()))

    def model(self, wanted: str = "") -> str:
        """The model that will be asked for; empty where there is nothing to choose."""
        if wanted or not self.role:
            return wanted
        if self.vendor == COMPATIBLE:
            return str(getattr(calls_settings(), f"{self.role}_model"))
        named = calls_settings().models.get(f"{self.vendor}:{self.role}", "")
        return named or model_default(self.vendor, self.role)


def openai_server() -> Server:
    wanted = calls_settings()
    return Server(wanted.openai_base_url, wanted.openai_api_key, OPENAI, OPENAI)


def compatible_server(stage: Stage) -> Server:
    """The operator's own server for that stage."""
    settings = calls_settings()
    base_url, key, profile = (
        getattr(settings, f"{stage.value}_{what}") for what in ("base_url", "api_key", "profile")
    )
    return Server(base_url, key, COMPATIBLE, profile)


def elevenlabs_address() -> ElevenLabs:
    wanted = calls_settings()
    return ElevenLabs(wanted.elevenlabs_api_key, wanted.elevenlabs_base_url)


# Speech to text


def _live_transcription(wanted: Wanted) -> SpeechToText:
    from calls.providers.openai.live import LiveTranscription

    return LiveTranscription(
        openai_server(), wanted.model, noise_reduction=wanted.noise_reduction, clock=CLOCK
    )


def _transcription(wanted: Wanted) -> SpeechToText:
    from calls.providers.openai.transcription import TranscriptionEndpoint

    return TranscriptionEndpoint(openai_server(), wanted.model)


def _compatible_transcription(wanted: Wanted) -> SpeechToText:
    from calls.providers.openai.transcription import TranscriptionEndpoint

    return TranscriptionEndpoint(compatible_server(Stage.STT), wanted.model)


def _scribe(wanted: Wanted) -> SpeechToText:
    from calls.providers.elevenlabs.scribe import ScribeLive

    return ScribeLive(elevenlabs_address(), wanted.model, clock=CLOCK, language=wanted.language)


def _scribe_batch(wanted: Wanted) -> SpeechToText:
    from calls.providers.elevenlabs.batch import ScribeBatch

    return ScribeBatch(elevenlabs_address(), wanted.model)


# Language models


def chat_model(server: Server, wanted: Wanted) -> LanguageModel:
    from calls.providers.openai.llm import ChatLanguageModel

    return ChatLanguageModel(
        server,
        wanted.model,
        temperature=wanted.temperature,
        max_output_tokens=wanted.max_output_tokens,
    )


def _responses(wanted: Wanted) -> LanguageModel:
    from calls.providers.openai.responses import ResponsesLanguageModel

    return ResponsesLanguageModel(
        openai_server(),
        wanted.model,
        temperature=wanted.temperature,
        max_output_tokens=wanted.max_output_tokens,
    )


# Text to speech


def _elevenlabs_voice(wanted: Wanted) -> TextToSpeech:
    if wanted.model.startswith(("eleven_v3", "eleven_v4")):
        return _elevenlabs_http(wanted)
    from calls.providers.elevenlabs.voice import MultiContextVoice

    return MultiContextVoice(
        elevenlabs_address(),
        wanted.model,
        clock=CLOCK,
        voice=wanted.voice,
        language=wanted.language,
    )


def _elevenlabs_http(wanted: Wanted) -> TextToSpeech:
    from calls.providers.elevenlabs.http_voice import HttpVoice

    return HttpVoice(elevenlabs_address(), wanted.model)


def _realtime_voice(wanted: Wanted) -> TextToSpeech:
    from calls.providers.openai.realtime_voice import RealtimeVoice

    return RealtimeVoice(openai_server(), wanted.model, clock=CLOCK)


def _compatible_voice(wanted: Wanted) -> TextToSpeech:
    from calls.providers.openai.speech import SpeechEndpoint

    settings = calls_settings()
    return SpeechEndpoint(
        compatible_server(Stage.TTS),
        wanted.model,
        response_format=settings.tts_format,
        rate_hz=settings.tts_rate_hz or None,
    )


_OPENAI_KEY, _ELEVENLABS_KEY = "OPENAI_API_KEY", "ELEVENLABS_API_KEY"

_OFFERS: Mapping[Stage, tuple[Offer, ...]] = {
    # In the order in which they are chosen for an agent that leaves the choice to us.
    Stage.STT: (
        Offer(
            name=COMPATIBLE,
            vendor=COMPATIBLE,
            role="stt",
            needs="STT_BASE_URL",
            build=_compatible_transcription,
        ),
        Offer(
            name="elevenlabs",
            vendor=ELEVENLABS,
            role="stt-live",
            needs=_ELEVENLABS_KEY,
            build=_scribe,
        ),
        Offer(
            name="openai-live",
            vendor=OPENAI,
            role="stt-live",
            needs=_OPENAI_KEY,
            build=_live_transcription,
        ),
        Offer(
            name="elevenlabs-batch",
            vendor=ELEVENLABS,
            role="stt",
            needs=_ELEVENLABS_KEY,
            build=_scribe_batch,
        ),
        Offer(name="openai", vendor=OPENAI, role="stt", needs=_OPENAI_KEY, build=_transcription),
        Offer(name=EMBEDDED, vendor=EMBEDDED, build=lambda _: speech().stt),
        Offer(
            name="whisper",
            vendor="local",
            build=lambda _: local_speech().stt,
            by_itself=False,
            engine="whisper",
        ),
    ),
    Stage.LLM: (
        Offer(
            name=COMPATIBLE,
            vendor=COMPATIBLE,
            role="llm",
            needs="LLM_BASE_URL",
            build=lambda wanted: chat_model(compatible_server(Stage.LLM), wanted),
        ),
        Offer(
            name="openai",
            vendor=OPENAI,
            role="llm",
            needs=_OPENAI_KEY,
            build=lambda wanted: chat_model(openai_server(), wanted),
        ),
        Offer(
            name="openai-responses",
            vendor=OPENAI,
            role="llm",
            needs=_OPENAI_KEY,
            build=_responses,
            by_itself=False,
        ),
        Offer(name=EMBEDDED, vendor=EMBEDDED, build=lambda _: ScriptedAgent()),
    ),
    Stage.TTS: (
        Offer(
            name=COMPATIBLE,
            vendor=COMPATIBLE,
            role="tts",
            needs="TTS_BASE_URL",
            build=_compatible_voice,
        ),
        Offer(
            name="elevenlabs",
            vendor=ELEVENLABS,
            role="tts",
            needs=_ELEVENLABS_KEY,
            build=_elevenlabs_voice,
        ),
        Offer(
            name="elevenlabs-http",
            vendor=ELEVENLABS,
            role="tts",
            needs=_ELEVENLABS_KEY,
            build=_elevenlabs_http,
        ),
        Offer(
            name="openai-realtime",
            vendor=OPENAI,
            role="realtime-tts",
            needs=_OPENAI_KEY,
            build=_realtime_voice,
        ),
        Offer(name=EMBEDDED, vendor=EMBEDDED, build=lambda _: speech().tts),
        Offer(
            name="piper",
            vendor="local",
            build=lambda _: local_speech().tts,
            by_itself=False,
            engine="piper",
        ),
    ),
}


def offers(stage: Stage) -> tuple[Offer, ...]:
    """Every provider for a stage, there or not."""
    return _OFFERS[stage]


def offer(stage: Stage, name: str) -> Offer | None:
    """The provider of that name; None for a name that nobody knows."""
    return next((entry for entry in _OFFERS[stage] if entry.name == name), None)


def chosen(stage: Stage, first: str, fallbacks: tuple[str, ...]) -> list[Offer]:
    """The providers that will serve a stage, in order; those that are not there are left out.

    Choosing "auto" yields the best there is and, behind it, whatever else there is, but not the
    offline engines behind a hosted service: what they understand, or say by script, would go for
    what the better one does. A voice is another matter: an offline voice is better than silence,
    so it always comes last.
    """
    names = list(_best(stage)) if first == AUTO else [first]
    found = [offer(stage, name) for name in dict.fromkeys([*names, *fallbacks])]
    there = [entry for entry in found if entry is not None and entry.there]
    spare = offer(stage, EMBEDDED)
    if stage is Stage.TTS and spare is not None and spare not in there:
        there.append(spare)
    return there


def _best(stage: Stage) -> Iterator[str]:
    there = [entry for entry in _OFFERS[stage] if entry.there and entry.by_itself]
    hosted = [entry.name for entry in there if entry.name != EMBEDDED]
    yield from hosted or [EMBEDDED]
