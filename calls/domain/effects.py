"""What a call can ask for: the outputs of `step`, imperative, performed in order.

Lanes: client (`Send*`, `ClearAudio`), voice, records (`Store*`), tools, playout. Within a lane the
order of effects is kept; between lanes nothing waits for anything.
"""

from dataclasses import dataclass
from enum import StrEnum

from calls.domain.errors import EndReason, ErrorCode
from calls.domain.items import Item
from calls.domain.timings import Turn


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
    tool_call_id: str
    name: str
    running: bool
    failed: bool = False


@dataclass(frozen=True, slots=True)
class SendError(Effect):
    """Something went wrong and the call goes on."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class SendTurn(Effect):
    """The timings of a turn, once its answer began to be heard and again when it is over."""

    turn: Turn


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
    """Of this response `heard_ms` were heard, and that is final: the recording keeps so much."""

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
