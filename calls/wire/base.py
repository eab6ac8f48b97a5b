"""What every wire protocol is made of: frames to events, messages to frames, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calls.domain.errors import ErrorCode
from calls.domain.events import Event

Frame = str | bytes
"""One WebSocket message, text or binary."""


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
    reports_playback: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    resume: Resume | None = None


@dataclass(frozen=True, slots=True)
class ClientAudio:
    """Microphone audio, s16le mono at the client's rate; `position` counts samples of the call."""

    position: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class TurnsMode:
    """Who decides when the caller speaks."""

    push_to_talk: bool


Inbound = Event | ClientAudio | TurnsMode


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
