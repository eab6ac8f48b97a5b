"""Several voices as one."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from calls.domain.audio import AGENT
from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.speech import SpokenAudio, TextToSpeech
from calls.providers.choice.breaker import Breakers
from calls.providers.choice.budget import TTS_BUDGET, Budget
from calls.providers.choice.choosing import Choosing
from calls.providers.choice.streaming import Request, chosen


@dataclass(frozen=True, slots=True)
class Voiced:
    """A synthesiser and the voice to speak with, by its own name for it; empty: its default."""

    tts: TextToSpeech
    voice: str = ""


class ChosenVoice(Choosing):
    """A `TextToSpeech` that speaks each text with the first candidate that makes a sound.

    Within a text the voice never changes once any of its audio was passed on; a text without any
    audio is a failure. It belongs to one call, and may speak several texts at once.
    """

    def __init__(
        self,
        candidates: Sequence[Voiced],
        *,
        breakers: Breakers,
        clock: Clock,
        budget: Budget = TTS_BUDGET,
    ) -> None:
        services = [candidate.tts for candidate in candidates]
        names = [service.name for service in services]
        voices = [candidate.voice for candidate in candidates]
        super().__init__(Stage.TTS, services, names, breakers, clock, voices)
        self._candidates = tuple(candidates)
        self._budget = budget

    def speak(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AbstractAsyncContextManager[AsyncIterator[SpokenAudio]]:
        """Speak; `voice` is the first candidate's unless that one has a voice of its own."""

        def ask(index: int) -> AbstractAsyncContextManager[AsyncIterator[SpokenAudio]]:
            candidate = self._candidates[index]
            own = candidate.voice or (voice if index == 0 else "")
            return candidate.tts.speak(text, language=language, voice=own, speed=speed)

        request: Request[SpokenAudio] = Request(
            ask=ask,
            tally=lambda: _Speech(len(text)),
            weighs=lambda part: bool(part.pcm),
            may_be_empty=False,
        )
        return chosen(self, request, self._budget)


@dataclass(slots=True)
class _Speech:
    chars: int
    spoken_bytes: int = 0

    def take(self, part: SpokenAudio) -> None:
        self.spoken_bytes += len(part.pcm)

    def usage(self, noted: Mapping[str, int], *, served: bool) -> tuple[dict[str, int], bool]:
        if not served:
            return dict(noted), False
        known = {"characters": self.chars, "spoken_ms": AGENT.ms_of(self.spoken_bytes)}
        return {**known, **noted}, False
