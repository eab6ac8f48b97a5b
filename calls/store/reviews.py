"""A conversation as a reviewer reads it: who said what when, what was heard, where time went."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calls.conf import calls_settings
from calls.domain.items import Item as DomainItem
from calls.domain.items import ItemStatus, Mark, Role, Source
from calls.models import Conversation, Recording, RecordingState, ServiceUse, Summary
from calls.store.extracted import Extracted, extracted
from calls.store.services import Total, TurnServices, services_by_turn, totals
from calls.store.waits import STAGE_LABELS, Wait, scale_ms_of, waits_of
from calls.store.waveforms import recording_ms
from calls.store.wording import (
    clock,
    cost_words,
    counted,
    heard_words,
    protocol_name,
    seconds,
)

WHO = {
    Role.USER: "Caller",
    Role.AGENT: "Agent",
    Role.TOOL: "Tool",
    Role.SYSTEM: "Instruction",
}
_NOTES = {
    Source.TEXT: "typed",
    Source.FIXED: "set text",
    Source.STAFF: "by staff",
    Source.KEYPAD: "keys pressed",
    Source.CLIENT: "by the client",
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
class Round:
    """A turn of which there is something to tell: a wait, an error, or services that worked."""

    number: int
    wait: Wait | None
    interrupted: bool
    error: str
    services: TurnServices | None

    @property
    def tag(self) -> str:
        return self.services.tag if self.services else ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One item, made ready for reading.

    `wait` and `trouble`, a word on what went wrong, are set on the first words of the agent in a
    turn.
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
    trouble: str

    @property
    def at(self) -> str:
        return clock(self.item.started_ms)


@dataclass(frozen=True, slots=True)
class Review:
    conversation: Conversation
    entries: tuple[Entry, ...]
    waits: tuple[Wait, ...]
    rounds: tuple[Round, ...]
    uses: tuple[ServiceUse, ...]
    totals: tuple[Total, ...]
    scale_ms: int
    recording: Recording | None
    summary: Summary | None
    extracted: Extracted | None
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
    def cost(self) -> str:
        """Of all services whose prices were known; empty: none was."""
        if all(use.cost_micros is None for use in self.uses):
            return ""
        return cost_words(self.conversation.cost_micros, calls_settings().currency)

    @property
    def protocol(self) -> str:
        return protocol_name(self.conversation.protocol)

    @property
    def heard(self) -> str:
        """How far what is shown as heard can be relied on."""
        return heard_words(self.conversation.heard)

    @property
    def trouble(self) -> str:
        """What went wrong with services, in figures; empty: nothing."""
        services = [entry.services for entry in self.rounds if entry.services]
        failed = sum(turn.failed for turn in services)
        fallbacks = sum(turn.fallback for turn in services)
        told = [f"{counted(failed, 'request')} failed"] if failed else []
        return ", ".join(told + ([counted(fallbacks, "fallback")] if fallbacks else []))

    @property
    def stages(self) -> dict[str, str]:
        """The stages that any wait has, with their labels, for a legend."""
        seen = {bar.stage for wait in self.waits for bar in wait.bars if bar.ms}
        return {stage: label for stage, label in STAGE_LABELS.items() if stage in seen}


def review(conversation: Conversation) -> Review:
    """All of the conversation, in three queries beyond those for row, recording and summary."""
    items = [row.domain() for row in conversation.items.order_by("item_id")]
    turns = list(conversation.turns.order_by("turn"))
    uses = tuple(conversation.uses.order_by("number"))
    snapshot = conversation.agent_snapshot
    settings = snapshot if isinstance(snapshot, Mapping) else {}
    waits = waits_of(turns)
    services = services_by_turn(uses, settings)
    rounds = tuple(_rounds(waits, services))
    recording: Recording | None = getattr(conversation, "recording", None)
    summary: Summary | None = getattr(conversation, "summary", None)
    ends = [item.ended_ms or item.started_ms for item in items]
    return Review(
        conversation=conversation,
        entries=tuple(_entries(items, rounds)),
        waits=waits,
        rounds=rounds,
        uses=uses,
        totals=totals(services.values()),
        scale_ms=scale_ms_of(turns),
        recording=recording,
        summary=summary,
        extracted=extracted(summary, settings),
        length_ms=max([conversation.duration_ms or 0, _recorded_ms(recording), *ends]),
        metadata=pairs(conversation.metadata),
        settings=_settings(settings),
    )


def _rounds(waits: Iterable[Wait], services: Mapping[int, TurnServices]) -> Iterator[Round]:
    by_turn = {wait.turn.turn: wait for wait in waits}
    for number in sorted(by_turn.keys() | services.keys()):
        wait = by_turn.get(number)
        entry = Round(
            number=number,
            wait=wait if wait and wait.latency_ms is not None else None,
            interrupted=wait is not None and wait.turn.interrupted,
            error=wait.turn.error if wait else "",
            services=services.get(number),
        )
        if entry.wait or entry.error or entry.services:
            yield entry


def _recorded_ms(recording: Recording | None) -> int:
    if recording is None:
        return 0
    if recording.state != RecordingState.WRITING:
        return recording.duration_ms
    try:
        return recording_ms(recording.file)
    except (OSError, ValueError):
        return 0


def _entries(items: Sequence[DomainItem], rounds: Iterable[Round]) -> Iterator[Entry]:
    untold = {entry.number: entry for entry in rounds}
    for item in items:
        spoken = item.role is not Role.TOOL
        told = untold.pop(item.turn, None) if item.role is Role.AGENT else None
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
            wait=told.wait if told else None,
            trouble=told.tag if told else "",
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


def _settings(snapshot: Mapping[str, Any]) -> Pairs:
    """The agent's settings with those of its policy among them."""
    policy = snapshot.get("policy")
    rest = {name: value for name, value in snapshot.items() if name != "policy"}
    return (*pairs(rest), *pairs(policy))


def _shown(value: object) -> str:
    if value is None or value == "":
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
