"""The client, as the engine sees it: whatever sits behind a socket and a codec."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from calls.domain.effects import Effect


class Playback(StrEnum):
    """Where the knowledge of what was heard comes from."""

    REPORTED = "reported"
    """The client says what it has played."""
    PACED = "paced"
    """Sound leaves at the pace of the ear, so that the clock says what was heard."""
    ASSUMED = "assumed"
    """Sound leaves as it is made; it is taken to be played at even pace from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a protocol wants the agent's sound.

    Attributes:
        lead_ms: how far ahead of the ear sound is sent at most; None: as soon as it is made.
        frame_ms: the longest `AudioFrame`; more in one costs less, and comes later.
        from_end: the client begins to play when it has all of a response; only with no lead.
    """

    playback: Playback = Playback.REPORTED
    lead_ms: int | None = 400
    frame_ms: int = 60
    from_end: bool = False


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """Agent audio, `audio.AGENT`, that begins `start_ms` into the sound of its response."""

    response_id: int
    start_ms: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class AudioEnd:
    """All sound of the response has been sent."""

    response_id: int
    length_ms: int


# Answers beside the conversation: only clients that ask for them get these.


@dataclass(frozen=True, slots=True)
class AsideText:
    """A piece of the answer `aside_id`, before the sound that says it."""

    aside_id: str
    text: str


@dataclass(frozen=True, slots=True)
class AsideAudio:
    """Its sound, `audio.AGENT`, as it is made."""

    aside_id: str
    pcm: bytes


@dataclass(frozen=True, slots=True)
class AsideTool:
    """The model asks for a tool; nobody runs it. `arguments` is JSON as the model wrote it."""

    aside_id: str
    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AsideDone:
    """Nothing more follows of it; `failed` says what went wrong (empty: nothing)."""

    aside_id: str
    failed: str = ""
    cancelled: bool = False


Aside = AsideText | AsideAudio | AsideTool | AsideDone
Outgoing = Effect | AudioFrame | AudioEnd | Aside


class Client(Protocol):
    """One socket's worth of client. A call may have several, one after another."""

    pace: Pace

    async def send(self, message: Outgoing) -> None:
        """Put the message on the wire in the client's words; may send nothing.

        Returns when the server has taken it, which says nothing of the client. Never raises
        for a client that has gone.
        """
        ...

    async def close(self, code: int) -> None:
        """Close the socket; idempotent."""
        ...
