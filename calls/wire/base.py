"""What every wire protocol is made of: frames to events, messages to frames, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from calls.domain.errors import ErrorCode
from calls.domain.events import Event
from calls.domain.items import Item
from calls.domain.wishes import Wishes
from calls.ports.client import Outgoing, Pace
from calls.ports.voice import SessionChange

Frame = str | bytes
"""One WebSocket message, text or binary."""

CLOSE_CODES: Mapping[ErrorCode, int] = {
    ErrorCode.BAD_MESSAGE: 4400,
    ErrorCode.UNAUTHORIZED: 4401,
    ErrorCode.FORBIDDEN: 4403,
    ErrorCode.CONSENT_REQUIRED: 4403,
    ErrorCode.NO_SUCH_AGENT: 4404,
    ErrorCode.START_TIMEOUT: 4408,
    ErrorCode.TAKEN_OVER: 4409,
    ErrorCode.ENDED: 4410,
    ErrorCode.TOO_LARGE: 4413,
    ErrorCode.TOO_FAST: 4429,
    ErrorCode.LIMIT_REACHED: 4503,
    ErrorCode.BUSY: 4503,
    ErrorCode.DRAINING: 4503,
    ErrorCode.INTERNAL: 4502,
}
"""What a socket is closed with, where its protocol knows no codes of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How the sockets of a protocol are served.

    Attributes:
        name: of the protocol, as it stands on the record.
        resumes: a socket that drops may come back into its call; else its end is the hang-up.
        message_bytes: the longest message; a longer one ends the call as too large.
        start_ms: how long the first message may take, of protocols whose clients speak first.
        sound_bytes_per_s: what sound is taken at; three times the pace of speech is plenty.
        sound_reserve_bytes: what may come at once on top of that.
        sound_least_bytes: a message of sound counts for so much at least.
        sound_text_chars: a text message of this length or more counts as sound; None: none does.
        texts_per_s: how many other messages are taken.
        texts_reserve: how many may come at once on top of that.
        close_grace_ms: how long the client has to close the socket itself once the call is over.
        restart_code: what the socket is closed with when the call ends because the server does.
    """

    name: str
    resumes: bool = False
    message_bytes: int
    start_ms: int = 5_000
    sound_bytes_per_s: float
    sound_reserve_bytes: float
    sound_least_bytes: float = 0
    sound_text_chars: int | None = None
    texts_per_s: float = 20
    texts_reserve: float = 40
    close_grace_ms: int = 0
    restart_code: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Knock:
    """What is known of a client before its first message.

    Attributes:
        agent: slug in the address; empty: none.
        query: of the address; of a field that comes twice, the last value.
        headers: by lower-case name; of one that comes twice, the first value. Names of clients'
            secrets among them: `repr` does not show the values.
        subprotocols: as offered.
    """

    agent: str = ""
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    subprotocols: tuple[str, ...] = field(default=(), repr=False)


class WireError(Exception):
    """The client broke the protocol.

    Args:
        code: what it is told.
        message: one sentence; never repeats what the client sent.
        close_code: close the socket with this code; None: say so and go on.
    """

    def __init__(self, code: ErrorCode, message: str, close_code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.close_code = close_code


@dataclass(frozen=True, slots=True)
class Resume:
    """A client comes back.

    `played_ms` of response `response_id` had come out of its loudspeaker; both None: nothing
    was playing.
    """

    call_id: str
    secret: str = field(repr=False)
    response_id: int | None = None
    played_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Who calls, whom, and with what."""

    agent: str = ""
    token: str = field(default="", repr=False)
    language: str = ""
    mic_rate_hz: int | None = None
    push_to_talk: bool = False
    """The client says when the caller speaks, with `TalkStarted` and `TalkStopped`."""
    pace: Pace = field(default_factory=Pace)
    system_prompt: str | None = None
    """In place of the agent's own."""
    greets: bool = True
    """Whether the agent may speak first."""
    caller: str = ""
    """Who calls, as far as the client says."""
    consented: bool = False
    """The client says that the caller agreed to the agent's consent text."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    resume: Resume | None = None


@dataclass(frozen=True, slots=True)
class ClientAudio:
    """Microphone audio, s16le mono at the client's rate.

    `position` counts samples of the call; None: it follows what came before.
    """

    position: int | None
    pcm: bytes


@dataclass(frozen=True, slots=True)
class EncodedAudio:
    """The microphone's sound of one utterance as a file: WebM, Ogg, MP4 or whatever it is.

    It is decoded before anything that came after it is looked at.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class TurnsMode:
    """Who decides when the caller speaks."""

    push_to_talk: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HearingChange:
    """How speech is told from silence from now on; None keeps what is.

    Attributes:
        threshold: 0 to 1, what the detector has to be sure of.
        prefix_ms: sound before the detector was sure that belongs to the utterance.
    """

    threshold: float | None = None
    prefix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The client has run a tool that was asked for."""

    tool_call_id: str
    output: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class AsideAsked:
    """An answer beside the conversation: to these items, as `wishes` say.

    `items` None: to the conversation as it stands.
    """

    aside_id: str
    items: tuple[Item, ...] | None
    wishes: Wishes


@dataclass(frozen=True, slots=True)
class AsideCancelled:
    """The client does not want that answer any more; None: none of them."""

    aside_id: str | None


Inbound = (
    Event
    | ClientAudio
    | EncodedAudio
    | TurnsMode
    | HearingChange
    | SessionChange
    | ToolResult
    | AsideAsked
    | AsideCancelled
)


@dataclass(frozen=True, slots=True)
class Received:
    """What one frame meant, in order, and what to answer at once."""

    inbound: tuple[Inbound, ...] = ()
    replies: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a client is told once its call runs."""

    call_id: str
    resume_secret: str = field(repr=False)
    resumed: bool
    agent_slug: str
    agent_name: str
    language: str
    notice: str
    recording: bool
    stt: str
    llm: str
    tts: str
    mic_position: int
    push_to_talk: bool
    max_call_ms: int
    resume_ms: int


class Codec(Protocol):
    """One socket's codec. Pure: it keeps state, and asks nobody."""

    terms: Terms

    def greet(self) -> Hello | None:
        """The socket is open: the call, where it begins before the client says anything."""
        ...

    def open(self, frame: Frame) -> Hello | None:
        """Read a message that came before the call; None: go on waiting.

        Raises:
            WireError: with a close code, always.
        """
        ...

    def late(self) -> Hello:
        """Nothing that begins a call came in time: it begins anyway, or not.

        Raises:
            WireError: START_TIMEOUT, with a close code.
        """
        ...

    def ready(self, ready: Ready) -> tuple[Frame, ...]:
        """What the client is told once its call runs."""
        ...

    def receive(self, frame: Frame) -> Received:
        """Read any later message.

        Raises:
            WireError: without a close code the call goes on.
        """
        ...

    def send(self, message: Outgoing) -> tuple[Frame, ...]:
        """The frames that say it."""
        ...

    def error(self, code: ErrorCode, message: str, *, fatal: bool) -> tuple[Frame, ...]:
        """The frames that tell of an error; after a fatal one the socket is closed."""
        ...

    def close_code(self, code: ErrorCode) -> int:
        """What a socket is closed with after a fatal error: 1000, or 4000 to 4999."""
        ...
