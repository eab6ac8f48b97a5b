"""How long a request may take, with all that is tried for it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits in milliseconds. They stay below what the voice session and the engine wait for.

    Attributes:
        first_ms: for one candidate, until the first part of its answer. Of an utterance: until
            it is open, and again from its end to its text.
        stall_ms: for one candidate, between two parts.
        total_ms: for all candidates together, until the first part; of an utterance from its end
            to its text.
    """

    first_ms: int
    stall_ms: int
    total_ms: int


STT_BUDGET = Budget(first_ms=4_000, stall_ms=4_000, total_ms=8_000)
LLM_BUDGET = Budget(first_ms=5_000, stall_ms=5_000, total_ms=9_000)
TTS_BUDGET = Budget(first_ms=3_000, stall_ms=3_000, total_ms=5_000)

LEAST_MS = 200
"""No further candidate is asked when less than this is left."""

LEAVE_MS = 400
"""So long may a candidate take to let go of a request."""

LEAVE_CALL_MS = 900
"""So long may all candidates together take to let go of a call."""
