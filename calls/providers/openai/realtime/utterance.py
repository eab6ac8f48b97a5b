"""What the caller has said, from its commit to its text."""

from collections.abc import Callable
from dataclasses import dataclass, field

from calls.domain.audio import AGENT
from calls.domain.events import TranscriptFinal, VoiceFailed
from calls.providers.openai.realtime.desk import Request

KEPT_MS = 30_000
KEPT_BYTES = AGENT.bytes(KEPT_MS)
"""So much sound is said again when the session is lost before it was understood."""

SHORTEST_BYTES = AGENT.bytes(100)
"""The provider takes no less."""


@dataclass(slots=True)
class Utterance:
    """One turn of the caller.

    Attributes:
        pcm: the last of its sound, 24 kHz.
        item_id: what the provider calls it; empty until that is known.
        tag: of our own commit; empty if the provider found the end.
        told: the call knows that the turn is over.
        claimed: the call has committed it, and waits for the outcome.
        again: it is being said again, because a connection was lost.
        stopped_ms: when it was over, on the session's clock.
    """

    pcm: bytes
    request: Request
    item_id: str = ""
    tag: str = ""
    told: bool = False
    claimed: bool = False
    again: bool = False
    outcome: TranscriptFinal | VoiceFailed | None = None
    stopped_ms: int = 0
    forget: Callable[[], None] = field(default=lambda: None)

    @property
    def audio_ms(self) -> int:
        return AGENT.ms(self.pcm)
