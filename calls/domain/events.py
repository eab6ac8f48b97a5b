"""What can happen to a call: the inputs of `step`, in the past tense.

Every event carries `at_ms`, milliseconds since the call began, stamped by the runner when it
takes the event in. Events of a response carry its id: late ones are recognised and dropped.
"""

from dataclasses import dataclass
from enum import StrEnum

from calls.domain.errors import EndReason
from calls.domain.items import Mark, Role
from calls.domain.policy import Policy
from calls.domain.wishes import AS_USUAL, Wishes


class Stage(StrEnum):
    STT = "stt"
    LLM = "llm"
    TTS = "tts"
    VOICE = "voice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    at_ms: int = 0


# The link


class CallStarted(Event):
    """The first client is attached; the conversation is open on the record."""


class ClientAttached(Event):
    """The client came back to the running call."""


class ClientDetached(Event):
    """The socket is gone; the call goes on for its grace time."""


class HungUp(Event):
    """The caller ended the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAsked(Event):
    """Somebody other than caller or agent wants it over: staff, a restart, a cap.

    `once_free`: what is being said is answered and heard first; an idle call ends at once, and so
    does one whose client is away. The caller may go on as long as the server lets it.
    """

    reason: EndReason
    once_free: bool = False


# The caller


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted(Event):
    """The detector is sure of speech. Audio of the utterance follows, pre-roll first."""

    first_speech_ms: int | None = None
    """When it began to be spoken; None: only the moment is known at which it was noticed."""
    position_ms: int | None = None
    """Where that lies in all the sound that came from the client; None: unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStopped(Event):
    last_speech_ms: int
    """When speech was last heard; at or before `at_ms`. Endpointing counts from here."""
    position_ms: int | None = None
    """Where that lies in all the sound that came from the client; None: unknown."""


class TalkStarted(Event):
    """Push-to-talk pressed."""


class TalkStopped(Event):
    """Push-to-talk released: the caller's turn is over at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted(Event):
    muted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDropped(Event):
    """The client takes back what is being said: the open utterance is forgotten.

    With `unanswered` the agent falls silent as well, and what the caller said before and still
    waits to be understood is put on the record without an answer.
    """

    unanswered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitPressed(Event):
    """A key of a telephone: one of `0123456789*#ABCD`.

    Digits are collected: a pause of `timers.DIGITS_WAIT_MS`, or `#`, makes a turn of them.
    """

    digit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MicAudio(Event):
    """Caller audio of an utterance, `audio.CALLER`, any whole number of samples."""

    pcm: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTyped(Event):
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Played(Event):
    """The client's playhead, or the playout's own count for clients that cannot tell."""

    response_id: int
    played_ms: int
    buffered_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackCut(Event):
    """The client silenced this response after exactly `played_ms`."""

    response_id: int
    played_ms: int


# A client that leads the conversation itself


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerAsked(Event):
    """The client asks for an answer to the conversation as it stands.

    It begins as soon as the caller's words are understood. An answer that is made but still being
    heard counts as heard in full; one that is still being made goes on, and this is ignored.
    """

    wishes: Wishes = AS_USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCancelled(Event):
    """The client stops the agent's answer; nobody has begun to speak.

    `response_id` None: whichever goes on. An answer that was only asked for is forgotten.
    """

    response_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryGiven(Event):
    """The client adds an entry to the conversation; nobody is interrupted, nothing is answered.

    `ref` is the client's own name for it (unique within the call). Role TOOL is not given so.
    """

    role: Role
    text: str
    ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRemoved(Event):
    """The client takes an entry out of the conversation; the record keeps it as cancelled.

    Named by one of: `ref`, `turn` (the caller's spoken words of that turn), `response_id` (the
    agent's words), `tool_call_id`. What is not there is ignored.
    """

    ref: str = ""
    turn: int | None = None
    response_id: int | None = None
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardTold(Event):
    """The client says how much of an answer was heard, during it or any time after it.

    An answer that is still going on ends there; one that is on the record is parted anew.
    """

    response_id: int
    heard_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChanged(Event):
    """The call is led differently from now on."""

    policy: Policy


# The voice session


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptPartial(Event):
    text: str
    """All of the utterance so far; may be revised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptFinal(Event):
    text: str
    """Never revised. Empty: nothing was understood."""
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseText(Event):
    """A speakable piece of the answer, before the audio that says it."""

    response_id: int
    text: str
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseAudio(Event):
    """Agent audio, `audio.AGENT`, of the latest `ResponseText` of this response.

    `marks` say where words end within that text; their times are milliseconds from the start of
    that text's audio.
    """

    response_id: int
    pcm: bytes
    marks: tuple[Mark, ...] = ()
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseDone(Event):
    """No text, audio or tool request of this request follows."""

    response_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRequested(Event):
    response_id: int
    tool_call_id: str
    name: str
    arguments: str
    """JSON text as the model wrote it."""


class Direction(StrEnum):
    """What an answer may order beside its words."""

    END_CALL = "end_call"
    """End once the answer was heard."""
    CANCEL_LAST_USER = "cancel_last_user_message"
    SKIP_ANSWER = "skip_answer"
    """Say nothing; listen again. The last event of its response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseDirected(Event):
    response_id: int
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseNoted(Event):
    """Metadata that travels with the answer to client and record; a JSON object as text."""

    response_id: int
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceFailed(Event):
    """A stage could not do its work for this turn; the session itself goes on unless `fatal`."""

    stage: Stage
    message: str
    response_id: int | None = None
    busy: bool = False
    fatal: bool = False


# Our own side


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished(Event):
    tool_call_id: str
    output: str
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioSent(Event):
    """The first audio of a response has left for the client."""

    response_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayoutDrained(Event):
    """All audio of a finished response was heard."""

    response_id: int
    heard_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStored(Event):
    """This item, in this state, survives a crash."""

    item_id: int
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired(Event):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerGiven(Event):
    """Code on our side has the agent say this now (`LiveCall.answer`).

    It takes the place of what the agent is saying; a caller who has the floor is let finish.
    """

    text: str
    metadata: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationReset(Event):
    """Code on our side replaced the conversation that the model sees.

    `entries` are (role, text) pairs, oldest first, role "user" or "agent".
    """

    entries: tuple[tuple[str, str], ...]
    system_prompt: str | None = None
