"""Downloaded models as speech services: Whisper listens, Piper speaks, both in workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from calls.domain.audio import CALLER
from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import SpokenAudio, Transcriber
from calls.providers.embedded.messages import pack_fields, unpack_sound
from calls.providers.embedded.pool import Plan, WorkerPool
from calls.providers.local.errors import LocalModelError
from calls.providers.local.jobs import pack_utterance
from calls.providers.local.shelf import Shelf

MODULE = "calls.providers.local.worker"
STT_LIMIT_MS = 30_000
TTS_LIMIT_MS = 20_000
LONGEST_MS = 60_000
SHORTEST_MS = 100
LONGEST_TEXT_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Engine:
    """Workers for one engine, and where its models are.

    Attributes:
        package: what has to be importable in the workers.
        install: what installs it.
    """

    plan: Plan
    pool: WorkerPool
    shelf: Shelf
    package: str
    install: str

    def models(self) -> dict[str, tuple[str, ...]]:
        """The installed models and their languages; reads the disk.

        Raises:
            ProviderError: the engine or every model of it is missing.
        """
        if find_spec(self.package) is None:
            raise self.unavailable(f"{self.install} is not installed (pip install).")
        try:
            found = self.shelf.installed_of(self.plan.kind)
        except (LocalModelError, OSError) as error:
            raise self.unavailable("The folder of local models cannot be read.") from error
        if not found:
            raise self.unavailable("No model is installed (manage.py local_speech install).")
        return found

    def unavailable(self, message: str) -> ProviderError:
        return self.plan.error(ProviderFault.UNAVAILABLE, message, retryable=False)


class WhisperSpeechToText:
    """Understands whole utterances in the language of the call with the first model there is."""

    name = "whisper"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def utterance(
        self,
        *,
        language: str,
        context: str = "",  # noqa: ARG002 - it repeats what it is told as if it had heard it
    ) -> AsyncIterator[Transcriber]:
        """Collect an utterance, a minute at most: what comes after that is not heard."""
        yield _Utterance(self._engine, language)


class _Utterance:
    """A `Transcriber` that has the utterance understood once it is over."""

    def __init__(self, engine: Engine, language: str) -> None:
        self._engine = engine
        self._language = language
        self._pcm = bytearray()

    async def feed(self, pcm: bytes) -> None:
        self._pcm += pcm[: CALLER.bytes(LONGEST_MS) - len(self._pcm)]

    async def finish(self) -> str:
        if CALLER.ms_of(len(self._pcm)) < SHORTEST_MS:
            return ""
        model = next(iter(await asyncio.to_thread(self._engine.models)))
        folder = str(self._engine.shelf.folder(model))
        payload = pack_utterance(folder, self._language, bytes(self._pcm))
        async with self._engine.pool.job(payload, killable=True) as job:
            return (await self._engine.pool.result(job)).decode().strip()

    async def partials(self) -> AsyncIterator[str]:
        nothing: tuple[str, ...] = ()
        for text in nothing:
            yield text


class PiperTextToSpeech:
    """Speaks with the voice that is named, or else with the first one of the language."""

    name = "piper"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def speak(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        engine = self._engine
        if len(text) > LONGEST_TEXT_CHARS:
            message = "The text is too long for one piece of speech."
            raise engine.plan.error(ProviderFault.REFUSED, message, retryable=False)
        chosen = chosen_voice(await asyncio.to_thread(engine.models), voice, language)
        if chosen is None:
            raise engine.unavailable("No voice of this language is installed.")
        folder = str(engine.shelf.folder(chosen))
        async with engine.pool.job(pack_fields(folder=folder, text=text, speed=speed)) as job:
            yield (SpokenAudio(*unpack_sound(chunk)) async for chunk in engine.pool.chunks(job))


def chosen_voice(voices: dict[str, tuple[str, ...]], voice: str, language: str) -> str | None:
    """The voice of that name, else one of that language, its region preferred."""
    if voice in voices:
        return voice
    tag = language.lower().replace("_", "-")
    exact = [name for name, spoken in voices.items() if tag in map(str.lower, spoken)]
    primary = [
        name
        for name, spoken in voices.items()
        if any(other.lower().partition("-")[0] == tag.partition("-")[0] for other in spoken)
    ]
    return next(iter(exact + primary), None)


@dataclass(frozen=True, slots=True)
class LocalSpeech:
    """Both engines with their workers. Belongs to one event loop, and is closed on it."""

    stt_name: ClassVar[str] = WhisperSpeechToText.name
    tts_name: ClassVar[str] = PiperTextToSpeech.name

    whisper: Engine
    piper: Engine

    @classmethod
    def with_workers(cls, folder: Path, workers: int, clock: Clock) -> "LocalSpeech":
        """At most so many processes for each engine; none before it is needed."""
        shelf = Shelf(folder)
        stt = Plan("whisper", "whisper", Stage.STT, workers, STT_LIMIT_MS, MODULE)
        tts = Plan("piper", "piper", Stage.TTS, workers, TTS_LIMIT_MS, MODULE)
        return cls(
            Engine(stt, WorkerPool(stt, clock), shelf, "faster_whisper", "faster-whisper"),
            Engine(tts, WorkerPool(tts, clock), shelf, "piper", "piper-tts"),
        )

    @property
    def stt(self) -> WhisperSpeechToText:
        return WhisperSpeechToText(self.whisper)

    @property
    def tts(self) -> PiperTextToSpeech:
        return PiperTextToSpeech(self.piper)

    async def close(self) -> None:
        """End all workers. Idempotent."""
        await self.whisper.pool.close()
        await self.piper.pool.close()
