"""The silence before each answer, and what it was made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from calls.models import Turn
from calls.store.wording import clock, seconds

SHORTEST_SCALE_MS = 1_000
"""Bars of short waits do not fill the width: they would look like long ones."""

STAGE_LABELS = {
    "endpointing": "Waiting for the end of speech",
    "stt": "Speech to text",
    "llm": "Thinking",
    "tts": "Text to speech",
    "playout": "Sending",
    "delivery": "On the way to the ear",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One stage of a wait; `x` and `width` are percent of the width of all bars."""

    stage: str
    label: str
    ms: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Wait:
    """A turn, and the silence before its answer: the bars sum to `latency_ms`."""

    turn: Turn
    latency_ms: int | None
    bars: tuple[Bar, ...]
    from_ms: int | None
    until_ms: int | None

    @property
    def seconds(self) -> str:
        return "–" if self.latency_ms is None else seconds(self.latency_ms)

    @property
    def at(self) -> str:
        return "" if self.from_ms is None else clock(self.from_ms)


def waits_of(turns: Sequence[Turn]) -> tuple[Wait, ...]:
    scale_ms = scale_ms_of(turns)
    return tuple(_wait(turn, scale_ms) for turn in turns)


def scale_ms_of(turns: Iterable[Turn]) -> int:
    return max([SHORTEST_SCALE_MS, *(turn.latency_ms or 0 for turn in turns)])


def _wait(turn: Turn, scale_ms: int) -> Wait:
    timings = turn.timings
    latency_ms = timings.latency_ms
    if latency_ms is None or timings.speech_stopped_ms is None:
        return Wait(turn, None, (), None, None)
    bars: list[Bar] = []
    since_ms = 0
    for stage, ms in timings.stages().items():
        x, width = (round(100 * part / scale_ms, 3) for part in (since_ms, ms))
        bars.append(Bar(stage, STAGE_LABELS[stage], ms, x, width))
        since_ms += ms
    until_ms = timings.speech_stopped_ms + latency_ms
    return Wait(turn, latency_ms, tuple(bars), timings.speech_stopped_ms, until_ms)
