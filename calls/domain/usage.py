"""What the services behind a call were asked for, and what came of it, for the record."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUse:
    """One request of a call to one provider. `calls.ports.usage.ServiceReport` says what is what.

    Attributes:
        number: counts the uses of the call, from 1, in the order in which they were over.
        turn: the turn it was made for.
        response_id: the answer it was made for; None for the caller's words.
        stage: "stt", "llm", "tts" or "voice".
        began_ms: since the call began.
        cost_micros: in millionths of the currency; None: nobody knows a price.
    """

    number: int
    turn: int
    response_id: int | None
    stage: str
    provider: str
    model: str
    outcome: str
    began_ms: int
    first_ms: int | None
    duration_ms: int
    request_id: str
    usage: Mapping[str, int] = field(default_factory=dict)
    estimated: bool = False
    cost_micros: int | None = None
