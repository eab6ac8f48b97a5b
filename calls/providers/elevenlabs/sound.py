"""Speech as it comes, made into what a `TextToSpeech` gives."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from calls.domain.audio import AGENT, SAMPLE_BYTES
from calls.domain.events import Stage
from calls.ports.errors import ProviderFault
from calls.ports.speech import SpokenAudio
from calls.providers.elevenlabs.alignment import Timing, WordMarks
from calls.providers.elevenlabs.faults import fault

SWALLOWED_LETTERS = 3
"""An alignment may lack so many at the end, and the sound be complete."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Sound as it came: samples may be cut in two."""

    pcm: bytes
    timing: Timing


async def spoken(
    text: str, chunks: AsyncGenerator[Chunk, None], *, end_is_told: bool
) -> AsyncGenerator[SpokenAudio, None]:
    """The chunks in whole samples, with marks at the ends of words.

    Args:
        end_is_told: the chunks end only when all has come. Otherwise the words decide, as far as
            they were aligned.

    Raises:
        ProviderError: it ended early, or there was nothing; or what `chunks` raises.
    """
    marks, part, size_bytes = WordMarks(text), b"", 0
    async with aclosing(chunks):
        async for chunk in chunks:
            begin_ms, size_bytes = _ms(size_bytes), size_bytes + len(chunk.pcm)
            found = marks.take(chunk.timing, begin_ms, _ms(size_bytes))
            pcm = part + chunk.pcm
            whole = len(pcm) - len(pcm) % SAMPLE_BYTES
            part = pcm[whole:]
            if whole or found:
                yield SpokenAudio(pcm[:whole], found)
    missing = 0 if end_is_told else sum(char.isalnum() for char in marks.left)
    if size_bytes < SAMPLE_BYTES or missing > SWALLOWED_LETTERS:
        raise fault(ProviderFault.TRUNCATED, stage=Stage.TTS)


def _ms(size_bytes: int) -> float:
    return size_bytes * 1000 / (AGENT.rate_hz * SAMPLE_BYTES)
