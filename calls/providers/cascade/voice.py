"""Pieces of text becoming sound: one piece is made ahead while the one before it is given out."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import SpokenAudio, TextToSpeech
from calls.providers.cascade.speakable import Spoken
from calls.sessions.deadline import Deadline

WAITING_CHUNKS = 256
"""So many chunks of a piece may wait to be given out; about 15 s of what voices stream."""


@dataclass(frozen=True, slots=True)
class Mouth:
    """The voice of an agent. `deadline_ms` is for the first sound and between sounds."""

    tts: TextToSpeech
    language: str
    voice: str
    speed: float
    clock: Clock
    deadline_ms: int


class Synthesis:
    """The sound of one piece, in the making.

    `provider` is who made what was made last; a service may change it between pieces.
    """

    def __init__(self, spoken: Spoken) -> None:
        self.provider = ""
        self._spoken = spoken
        self._made: asyncio.Queue[SpokenAudio | Exception | None] = asyncio.Queue(WAITING_CHUNKS)

    async def run(self, mouth: Mouth) -> None:
        """Make all of it. A failure is kept for the one who listens."""
        try:
            await self._make(mouth)
        except Exception as error:  # noqa: BLE001 - a provider's failure, of whatever kind
            await self._made.put(error)
        else:
            await self._made.put(None)

    async def chunks(self) -> AsyncIterator[SpokenAudio]:
        """What was made, in order; marks count in characters of the display.

        Raises:
            Exception: what the provider raised.
        """
        while (made := await self._made.get()) is not None:
            if isinstance(made, Exception):
                raise made
            yield SpokenAudio(made.pcm, self._spoken.shown(made.marks))

    async def _make(self, mouth: Mouth) -> None:
        sounded = False
        async with Deadline(mouth.clock) as deadline:
            deadline.start(mouth.deadline_ms)
            async with mouth.tts.speak(
                self._spoken.text, language=mouth.language, voice=mouth.voice, speed=mouth.speed
            ) as chunks:
                async for chunk in chunks:
                    self.provider = mouth.tts.name
                    deadline.stop()
                    sounded = sounded or bool(chunk.pcm)
                    await self._made.put(chunk)
                    deadline.start(mouth.deadline_ms)
        if not sounded:
            raise ProviderError(
                ProviderFault.TRUNCATED,
                "The voice made no sound.",
                provider=mouth.tts.name,
                stage=Stage.TTS,
            )
