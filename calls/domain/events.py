"""What can happen to a call: the inputs of `step`, in the past tense.

Every event carries `at_ms`, milliseconds since the call began, stamped by the runner when it
takes the event in. Events of a response carry its id: late ones are recognised and dropped.
"""

from dataclasses import dataclass
from enum import StrEnum

from calls.domain.errors import EndReason
from calls.domain.items import Mark


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
    """Somebody other than caller or agent wants it over: staff, a restart, a cap."""

    reason: EndReason


# The caller


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted(Event):
    """The detector is sure of speech. Audio of the utterance follows, pre-roll first."""

    first_speech_ms: int | None = None
    """When it began to be spoken; None: only the moment is known at which it was noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStopped(Event):
    last_speech_ms: int
    """When speech was last heard; at or before `at_ms`. Endpointing counts from here."""


class TalkStarted(Event):
    """Push-to-talk pressed."""


class TalkStopped(Event):
    """Push-to-talk released: the caller's turn is over at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted(Event):
    muted: bool


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
