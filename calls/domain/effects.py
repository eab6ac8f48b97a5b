"""What a call can ask for: the outputs of `step`, imperative, performed in order.

Lanes: client (`Send*`, `ClearAudio`), voice, records (`Store*`), tools, playout. Within a lane the
order of effects is kept; between lanes nothing waits for anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from calls.domain.errors import EndReason, ErrorCode
from calls.domain.items import Item
from calls.domain.timings import Turn
from calls.domain.wishes import AS_USUAL, Wishes


class Phase(StrEnum):
    """What the page shows: who has the floor."""

    LISTENING = "listening"
    HEARING = "hearing"
    THINKING = "thinking"
    SPEAKING = "speaking"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class Effect:
    pass


# Client


@dataclass(frozen=True, slots=True)
class SendPhase(Effect):
    phase: Phase


@dataclass(frozen=True, slots=True)
class SendTranscript(Effect):
    """What is understood of the caller's utterance in turn `turn`; the final one comes last."""

    turn: int
    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class SendResponseText(Effect):
    """A piece of the answer; it is said from `start_ms` of the response's audio on."""

    response_id: int
    text: str
    start_ms: int


@dataclass(frozen=True, slots=True)
class SendItem(Effect):
    """An entry of the conversation that is safely stored."""

    item: Item


@dataclass(frozen=True, slots=True)
class SendTool(Effect):
    """A tool runs, or has run. `arguments` is JSON as the model wrote it, `output` its result."""

    tool_call_id: str
    name: str
    running: bool
    failed: bool = False
    response_id: int = 0
    arguments: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class SendError(Effect):
    """Something went wrong and the call goes on."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class SendTurn(Effect):
    """The timings of a turn, once its answer began to be heard and again when it is over."""

    turn: Turn


class SpeechMark(StrEnum):
    """What became of the caller's utterance."""

    STARTED = "started"
    COMMITTED = "committed"
    """The turn is over: its words will be understood."""
    DROPPED = "dropped"
    """Forgotten; nothing of it follows."""


@dataclass(frozen=True, slots=True)
class SendSpeech(Effect):
    """The caller's utterance of turn `turn` began, or ended.

    `position_ms` is where in all the client's sound the first speech lies (STARTED) or the last
    (COMMITTED); None: unknown.
    """

    mark: SpeechMark
    turn: int
    position_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SendResponseBegan(Effect):
    """An answer is being made. With `round` above 0 it goes on after its tools."""

    response_id: int
    turn: int
    round: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Outcome(StrEnum):
    """How the making of an answer ended."""

    COMPLETE = "complete"
    """All of it is made; `AudioEnd` follows when all of it is sent."""
    TOOLS = "tools"
    """This round is made; the next one begins when its tools have settled."""
    INTERRUPTED = "interrupted"
    """The caller spoke, or something more urgent had to be said."""
    CANCELLED = "cancelled"
    """The client stopped it."""
    FAILED = "failed"
    """Nothing came; what is said instead is an answer of its own."""
    SKIPPED = "skipped"
    """The model chose to say nothing."""


@dataclass(frozen=True, slots=True)
class SendResponseMade(Effect):
    """Nothing more will be made of this round of the answer; once for each `SendResponseBegan`.

    An answer that was made and is still on its way to the ear when it is cut off has been told
    of already.
    """

    response_id: int
    round: int
    outcome: Outcome


# Playout


@dataclass(frozen=True, slots=True)
class SendAudio(Effect):
    """Agent audio, `audio.AGENT`, in order, paced by the playout."""

    response_id: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class FinishAudio(Effect):
    """No more audio of this response; `PlayoutDrained` follows when all of it was heard."""

    response_id: int


@dataclass(frozen=True, slots=True)
class ClearAudio(Effect):
    """Silence the client at once; drop what was not sent."""

    response_id: int


@dataclass(frozen=True, slots=True)
class SettleHeard(Effect):
    """Of this response `heard_ms` were heard: the recording keeps so much.

    It comes again, each time with less, where the client corrects what it was taken to have heard:
    a voice session that keeps the conversation itself forgets the rest.
    """

    response_id: int
    heard_ms: int


class HoldAudio(Effect):
    """The client is away: send nothing, keep everything from the last acknowledged sound on."""


class ReleaseAudio(Effect):
    """The client is back: go on from the last acknowledged sound."""


# Voice session


@dataclass(frozen=True, slots=True)
class ForwardAudio(Effect):
    pcm: bytes


class CommitTurn(Effect):
    """The caller's turn is over: exactly one `TranscriptFinal` (or `VoiceFailed`) follows."""


class DiscardTurn(Effect):
    """Forget the audio forwarded since the last commit; nothing follows."""


@dataclass(frozen=True, slots=True)
class CreateResponse(Effect):
    """Think and speak. A response may be asked for again with the same id after its tools."""

    response_id: int
    items: tuple[Item, ...]
    tools_allowed: bool = True
    wishes: Wishes = AS_USUAL


@dataclass(frozen=True, slots=True)
class Speak(Effect):
    """Say exactly this text as the response."""

    response_id: int
    text: str


@dataclass(frozen=True, slots=True)
class CancelResponse(Effect):
    response_id: int
    heard_ms: int


@dataclass(frozen=True, slots=True)
class ResetVoice(Effect):
    """The conversation was replaced; None keeps the system prompt."""

    system_prompt: str | None


# Tools


@dataclass(frozen=True, slots=True)
class RunTool(Effect):
    tool_call_id: str
    name: str
    arguments: str


# Records


@dataclass(frozen=True, slots=True)
class StoreItem(Effect):
    """Write or overwrite the item; `ItemStored` with its revision follows."""

    item: Item


@dataclass(frozen=True, slots=True)
class StoreTurn(Effect):
    turn: Turn


# Timers and the end


@dataclass(frozen=True, slots=True)
class StartTimer(Effect):
    """`TimerFired(name)` at `due_ms`; a running timer of that name is replaced."""

    name: str
    due_ms: int


@dataclass(frozen=True, slots=True)
class CancelTimer(Effect):
    name: str


@dataclass(frozen=True, slots=True)
class EndCall(Effect):
    """The last effect of a call."""

    reason: EndReason
