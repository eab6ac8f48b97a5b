"""What all calls of the process share."""

from functools import cache

from calls.conf import calls_settings
from calls.engine.clock import MonotonicClock
from calls.engine.registry import Registry
from calls.ports.clock import Clock
from calls.ports.detection import SpeechDetector
from calls.ports.files import AudioFileDecoder
from calls.providers.choice.breaker import Breakers
from calls.providers.containers.files import ContainerFiles
from calls.providers.embedded.speech import (
    EmbeddedSpeech,
    EspeakTextToSpeech,
    PocketSphinxSpeechToText,
)
from calls.providers.local.speech import LocalSpeech, PiperTextToSpeech, WhisperSpeechToText
from calls.providers.silero.detector import SileroDetector

CLOCK: Clock = MonotonicClock()


@cache
def registry() -> Registry:
    return Registry(max_calls=calls_settings().max_calls)


@cache
def detector() -> SpeechDetector:
    """Loads the model: a tenth of a second, once."""
    return SileroDetector()


@cache
def speech() -> EmbeddedSpeech:
    """The offline engines; their workers start when they are needed, or are warmed."""
    return EmbeddedSpeech.with_workers(calls_settings().speech_workers, CLOCK)


@cache
def local_speech() -> LocalSpeech:
    """Downloaded models, for the agents that ask for them; no process before one does."""
    wanted = calls_settings()
    return LocalSpeech.with_workers(wanted.local_models_dir, wanted.speech_workers, CLOCK)


@cache
def audio_files() -> AudioFileDecoder:
    """Decodes what clients send as files; no process before one does."""
    return ContainerFiles.with_workers(calls_settings().speech_workers, CLOCK)


@cache
def breakers() -> Breakers:
    """Which providers fail just now, as all calls of the process have found out."""
    own = (PocketSphinxSpeechToText, EspeakTextToSpeech, WhisperSpeechToText, PiperTextToSpeech)
    return Breakers(CLOCK, own=[engine.name for engine in own])
