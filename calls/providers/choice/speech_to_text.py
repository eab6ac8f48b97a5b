"""Several recognisers as one."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.speech import SpeechToText, Transcriber
from calls.providers.choice.breaker import Breakers
from calls.providers.choice.budget import STT_BUDGET, Budget
from calls.providers.choice.choosing import Choosing
from calls.providers.choice.utterance import HeardUtterance


class ChosenEars(Choosing):
    """A `SpeechToText` that gives sound to one candidate as it comes, and keeps it.

    When that one fails, before or after the end of the utterance, the next one hears all of it
    from the beginning and then goes on. It belongs to one call.
    """

    def __init__(
        self,
        candidates: Sequence[SpeechToText],
        *,
        breakers: Breakers,
        clock: Clock,
        budget: Budget = STT_BUDGET,
    ) -> None:
        names = [candidate.name for candidate in candidates]
        super().__init__(Stage.STT, candidates, names, breakers, clock)
        self._candidates = tuple(candidates)
        self._budget = budget

    def utterance(
        self, *, language: str, context: str = ""
    ) -> AbstractAsyncContextManager[Transcriber]:
        return HeardUtterance(
            self,
            lambda index: self._candidates[index].utterance(language=language, context=context),
            self._budget,
        )
