"""The offline engines as speech services: PocketSphinx listens, espeak-ng speaks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import SpokenAudio, Transcriber
from calls.providers.embedded.messages import pack_fields, unpack_sound
from calls.providers.embedded.pool import Plan, PoolStatus, WorkerPool
from calls.providers.embedded.utterance import WholeUtterance

STT_LIMIT_MS = 20_000

LONGEST_TEXT_CHARS = 2_000
TTS_LIMIT_MS = 10_000
TTS_WAITING = 32
"""A sentence takes some 12 ms: the last one still waits less than half a second."""

TTS_WORKERS = 2
"""One makes two hours of speech in a few seconds; the other is there when one breaks down."""

NORMAL_WPM = 165
DEFAULT_VOICE = "en-us+klatt4"
DEFAULT_VARIANT = "klatt4"


class PocketSphinxSpeechToText:
    """Understands English, whatever the language; says nothing before the utterance is over."""

    name = "pocketsphinx"

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def utterance(
        self,
        *,
        language: str,  # noqa: ARG002 - there is one language
        context: str = "",  # noqa: ARG002 - and no use for a context
    ) -> AsyncIterator[Transcriber]:
        """Collect an utterance, a minute at most: what comes after that is not heard."""
        utterance = WholeUtterance(self._pool)
        try:
            yield utterance
        finally:
            await utterance.leave()


class EspeakTextToSpeech:
    """Speaks with espeak-ng, 60 ms at a time, and marks every word.

    A voice is named as espeak-ng does, `en-us+klatt4`; without a name the language decides.
    """

    name = "espeak-ng"

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def speak(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AsyncIterator[AsyncIterator[SpokenAudio]]:
        if len(text) > LONGEST_TEXT_CHARS:
            raise ProviderError(
                ProviderFault.REFUSED,
                "The text is too long for one piece of speech.",
                provider=self.name,
                stage=Stage.TTS,
            )
        payload = pack_fields(
            text=text, voices=voices(language, voice), speed_wpm=round(NORMAL_WPM * speed)
        )
        async with self._pool.job(payload) as job:
            yield (SpokenAudio(*unpack_sound(chunk)) async for chunk in self._pool.chunks(job))


def voices(language: str, voice: str) -> list[str]:
    """espeak-ng's names for what is wanted, best first; the last one is always there."""
    tag = language.lower().replace("_", "-")
    primary = tag.partition("-")[0]
    by_language = [] if primary == "en" else [f"{tag}+{DEFAULT_VARIANT}"]
    if primary not in ("en", tag):
        by_language.append(f"{primary}+{DEFAULT_VARIANT}")
    return [name for name in (voice, *by_language, DEFAULT_VOICE) if name]


@dataclass(frozen=True, slots=True)
class EmbeddedSpeech:
    """Both engines with their workers. Belongs to one event loop, and is closed on it."""

    stt_pool: WorkerPool
    tts_pool: WorkerPool

    @classmethod
    def with_workers(cls, workers: int, clock: Clock) -> "EmbeddedSpeech":
        """So many recognisers as `workers`, one for each core as a rule, and a few voices."""
        stt = Plan("stt", PocketSphinxSpeechToText.name, Stage.STT, workers, STT_LIMIT_MS)
        tts_workers = min(workers, TTS_WORKERS)
        voice = EspeakTextToSpeech.name
        tts = Plan("tts", voice, Stage.TTS, tts_workers, TTS_LIMIT_MS, waiting=TTS_WAITING)
        return cls(WorkerPool(stt, clock), WorkerPool(tts, clock))

    @property
    def stt(self) -> PocketSphinxSpeechToText:
        return PocketSphinxSpeechToText(self.stt_pool)

    @property
    def tts(self) -> EspeakTextToSpeech:
        return EspeakTextToSpeech(self.tts_pool)

    @property
    def status(self) -> dict[str, PoolStatus]:
        """How the pools are doing, by stage."""
        return {"stt": self.stt_pool.status, "tts": self.tts_pool.status}

    async def warm(self) -> None:
        """Start all workers, so that the first caller need not wait for them.

        Raises:
            ProviderError: an engine is not available.
        """
        await self.tts_pool.warm()
        await self.stt_pool.warm()

    async def close(self) -> None:
        """End all workers. Idempotent."""
        await self.tts_pool.close()
        await self.stt_pool.close()
