"""What a call knows of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from calls.domain.audio import AGENT
from calls.domain.errors import EndReason
from calls.domain.items import Item, Mark, Source
from calls.domain.policy import Policy
from calls.domain.timings import TurnTimings
from calls.domain.wishes import AS_USUAL, Wishes


class Link(StrEnum):
    NEW = "new"
    ATTACHED = "attached"
    DETACHED = "detached"
    ENDING = "ending"
    """Over for both sides; the last words are being stored."""
    CLOSED = "closed"


class Caller(StrEnum):
    SILENT = "silent"
    SPEAKING = "speaking"
    PAUSED = "paused"
    """Fell silent; the endpointing deadline runs."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of an answer and where its sound begins within the response."""

    text: str
    start_ms: int
    marks: tuple[Mark, ...] = ()
    """Times from the start of this piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The agent's turn in the making, and on its way to the ear."""

    response_id: int
    turn: int
    timings: TurnTimings
    source: Source = Source.MODEL
    script: str | None = None
    """The words that were given to be said; None: the model finds them."""
    wishes: Wishes = AS_USUAL
    segments: tuple[Segment, ...] = ()
    complete: int = 0
    """So many of the pieces have all of their sound."""
    audio_bytes: int = 0
    progress_ms: int = 0
    """When something of it last came."""
    produced: bool = False
    """Nothing more of this round will be made."""
    tools: frozenset[str] = frozenset()
    """Tool calls that have not settled."""
    tools_used: bool = False
    """This round asked for tools: another one follows."""
    rounds: int = 0
    spoken_round: int = 0
    """The round of the latest piece."""
    played_ms: int = 0
    played_at_ms: int | None = None
    buffered_ms: int = 0
    item_id: int | None = None
    end_reason: EndReason | None = None
    """The call ends for this reason once the response was heard."""
    error: str = ""
    dismissed: bool = False
    """The client stopped it: it does not go on by itself."""
    removed: bool = False
    """The client took it out of the conversation."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stt: str = ""
    llm: str = ""
    tts: str = ""

    @property
    def whole(self) -> bool:
        """Made to its end; what is left is to hear it."""
        return self.produced and not self.tools_used

    @property
    def audio_ms(self) -> int:
        return AGENT.ms_of(self.audio_bytes)

    @property
    def text(self) -> str:
        return "".join(segment.text for segment in self.segments)

    def heard_ms(self, at_ms: int) -> int:
        """The best guess at `at_ms`: the last report, carried on by what the client held."""
        if self.played_at_ms is None:
            return 0
        since_ms = min(max(0, at_ms - self.played_at_ms), self.buffered_ms)
        return min(self.audio_ms, self.played_ms + since_ms)


@dataclass(frozen=True, slots=True)
class Awaited:
    """A turn of the caller whose transcript is on its way."""

    turn: int
    timings: TurnTimings
    answered: bool = True
    """False: put on the record, and no more."""
    removed: bool = False
    """The client took it out of the conversation before it was understood."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Words from code on our side that wait until the caller has finished."""

    text: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallState:
    policy: Policy
    all_audio: bool = False
    """The voice session has ears of its own, and hears everything."""
    link: Link = Link.NEW
    caller: Caller = Caller.SILENT
    utterance_started_ms: int = 0
    last_speech_ms: int = 0
    last_speech_position_ms: int | None = None
    """Where that lies in all the client's sound; None: unknown."""
    last_utterance_ms: int = 0
    """Length of the latest committed utterance."""
    unheeded: bool = False
    """Speech goes on that nobody listens to: it began while the agent may not be interrupted, or
    it outlasted the longest turn. It is taken in once the agent has finished."""
    awaiting: tuple[Awaited, ...] = ()
    """Oldest first."""
    unanswered: bool = False
    """The caller's latest words have no answer yet, nor has one been begun."""
    asked: Wishes | None = None
    """The client has asked for an answer that has not been begun."""
    digits: str = ""
    """Keys of a number that is still being dialled."""
    announcements: tuple[Announcement, ...] = ()
    timings: TurnTimings = field(default_factory=TurnTimings)
    """Of the latest turn, until a response takes them over."""
    stt: str = ""
    response: Response | None = None
    cut: Response | None = None
    """Interrupted; the client has not yet said how much was heard."""
    corrected: Mapping[int, int] = field(default_factory=dict)
    """Response id to the least that was ever settled, of those parted anew on the record: what
    a voice session has forgotten does not come back."""
    broken_off: Response | None = None
    """The latest thing of the agent's, if it was interrupted and left something undone."""
    items: tuple[Item, ...] = ()
    preamble: tuple[Item, ...] = ()
    """What code on our side put in place of the items before `context_from`."""
    context_from: int = 0
    """Index into `items` where the conversation that the model sees begins."""
    unstored: frozenset[int] = frozenset()
    """Items whose latest revision is not yet safe."""
    tool_items: Mapping[str, int] = field(default_factory=dict)
    """Tool call id to item id, of calls that have not settled."""
    turn: int = 0
    turn_recorded: bool = True
    """Something of the latest turn is on the record; there is no turn before the first."""
    turn_answered: bool = False
    """The agent has begun to answer in the latest turn."""
    next_response_id: int = 1
    failures: int = 0
    misses: int = 0
    """Utterances in a row of which nothing was understood."""
    idle_prompts: int = 0
    end_reason: EndReason | None = None
    leaving: EndReason | None = None
    """The call ends for this reason as soon as nobody has the floor."""

    @property
    def answer_due(self) -> bool:
        """Whether an answer begins as soon as the floor is free."""
        return self.asked is not None or (self.unanswered and self.policy.answers)
