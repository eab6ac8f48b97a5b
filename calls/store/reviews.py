"""A conversation as a reviewer reads it: who said what when, what was heard, where time went."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from calls.domain.items import Item as DomainItem
from calls.domain.items import ItemStatus, Mark, Role, Source
from calls.models import Conversation, Recording, RecordingState, Summary, Turn
from calls.store.waveforms import recording_ms

SHORTEST_SCALE_MS = 1_000
"""Bars of short waits do not fill the width: they would look like long ones."""

WHO = {Role.USER: "Caller", Role.AGENT: "Agent", Role.TOOL: "Tool"}
STAGE_LABELS = {
    "endpointing": "Waiting for the end of speech",
    "stt": "Speech to text",
    "llm": "Thinking",
    "tts": "Text to speech",
    "playout": "Sending",
    "delivery": "On the way to the ear",
}
_NOTES = {
    Source.TEXT: "typed",
    Source.FIXED: "set text",
    Source.STAFF: "by staff",
}
Pairs = tuple[tuple[str, str], ...]
_WORD = re.compile(r"(\S*)(\s*)")


@dataclass(frozen=True, slots=True)
class Word:
    """`at_ms` is where it lies in the recording; None: nobody knows. `gap` follows it."""

    text: str
    gap: str
    at_ms: int | None


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


@dataclass(frozen=True, slots=True)
class Entry:
    """One item, made ready for reading.

    `wait` is set on the first words of the agent in a turn.
    """

    item: DomainItem
    who: str
    note: str
    heard: tuple[Word, ...]
    unheard: str
    until_ms: int
    arguments: str
    result: str
    metadata: Pairs
    wait: Wait | None

    @property
    def at(self) -> str:
        return clock(self.item.started_ms)


@dataclass(frozen=True, slots=True)
class Review:
    conversation: Conversation
    entries: tuple[Entry, ...]
    waits: tuple[Wait, ...]
    scale_ms: int
    recording: Recording | None
    summary: Summary | None
    length_ms: int
    metadata: Pairs
    settings: Pairs

    @property
    def length(self) -> str:
        return clock(self.length_ms)

    @property
    def scale(self) -> str:
        return seconds(self.scale_ms)

    @property
    def latency(self) -> str:
        latency_ms = self.conversation.latency_ms
        return "–" if latency_ms is None else seconds(latency_ms)

    @property
    def stages(self) -> dict[str, str]:
        """The stages that any wait has, with their labels, for a legend."""
        seen = {bar.stage for wait in self.waits for bar in wait.bars if bar.ms}
        return {stage: label for stage, label in STAGE_LABELS.items() if stage in seen}


def review(conversation: Conversation) -> Review:
    """All of the conversation, in two queries beyond those for the row, recording and summary."""
    items = [row.domain() for row in conversation.items.order_by("item_id")]
    turns = list(conversation.turns.order_by("turn"))
    waits = _waits(turns)
    recording: Recording | None = getattr(conversation, "recording", None)
    ends = [item.ended_ms or item.started_ms for item in items]
    return Review(
        conversation=conversation,
        entries=tuple(_entries(items, waits)),
        waits=waits,
        scale_ms=_scale_ms(turns),
        recording=recording,
        summary=getattr(conversation, "summary", None),
        length_ms=max([conversation.duration_ms or 0, _recorded_ms(recording), *ends]),
        metadata=pairs(conversation.metadata),
        settings=_settings(conversation.agent_snapshot),
    )


def _recorded_ms(recording: Recording | None) -> int:
    if recording is None:
        return 0
    if recording.state != RecordingState.WRITING:
        return recording.duration_ms
    try:
        return recording_ms(recording.file)
    except (OSError, ValueError):
        return 0


def _entries(items: Sequence[DomainItem], waits: Iterable[Wait]) -> Iterator[Entry]:
    unsaid = {wait.turn.turn: wait for wait in waits if wait.latency_ms is not None}
    for item in items:
        spoken = item.role is not Role.TOOL
        yield Entry(
            item=item,
            who=WHO[item.role],
            note=_NOTES.get(item.source, ""),
            heard=tuple(words(item)) if spoken else (),
            unheard=item.unheard.strip() if spoken else "",
            until_ms=max(item.started_ms, item.ended_ms or item.started_ms),
            arguments=pretty(item.arguments),
            result="" if spoken else pretty(item.text),
            metadata=pairs(item.metadata),
            wait=unsaid.pop(item.turn, None) if item.role is Role.AGENT else None,
        )


def words(item: DomainItem) -> Iterator[Word]:
    """The words that were heard, and when each of them begins: by the marks, else by its share."""
    timed = item.ended_ms is not None and item.status is not ItemStatus.IN_PROGRESS
    length_ms = max(0, (item.ended_ms or 0) - item.started_ms)
    marks = item.marks if item.role is Role.AGENT else ()
    if not marks:
        marks = (Mark(max(1, len(item.text)), length_ms),)
    for found in _WORD.finditer(item.text):
        text, gap = found.groups()
        at_ms = item.started_ms + min(_reached_ms(marks, found.start()), length_ms)
        if text or gap:
            yield Word(text, gap, at_ms if timed and text else None)


def _reached_ms(marks: Sequence[Mark], char: int) -> int:
    """When everything before `char` has been said."""
    known_char, known_ms = 0, 0
    for mark in marks:
        if mark.end_char >= char:
            share = (char - known_char) / max(1, mark.end_char - known_char)
            return round(known_ms + share * (mark.at_ms - known_ms))
        known_char, known_ms = mark.end_char, mark.at_ms
    return known_ms


def pretty(text: str) -> str:
    """JSON with indentation; anything else as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return json.dumps(value, indent=2, ensure_ascii=False) if text else text


def pairs(value: object) -> Pairs:
    """A JSON object for a table: a template would take a key named `items` for the method."""
    if not isinstance(value, Mapping):
        return ()
    return tuple((str(name), _shown(entry)) for name, entry in value.items())


def _settings(snapshot: object) -> Pairs:
    """The agent's settings with those of its policy among them."""
    if not isinstance(snapshot, Mapping):
        return ()
    policy = snapshot.get("policy")
    rest = {name: value for name, value in snapshot.items() if name != "policy"}
    return (*pairs(rest), *pairs(policy))


def _shown(value: object) -> str:
    if value is None or value == "":
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _waits(turns: Sequence[Turn]) -> tuple[Wait, ...]:
    scale_ms = _scale_ms(turns)
    return tuple(_wait(turn, scale_ms) for turn in turns)


def _scale_ms(turns: Iterable[Turn]) -> int:
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


def clock(ms: int) -> str:
    """A place in the call: minutes and seconds, hours where there are any."""
    hours, seconds = divmod(ms // 1000, 3600)
    minutes, seconds = divmod(seconds, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def seconds(ms: int) -> str:
    """A wait, as exact as it is read."""
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms} ms"
