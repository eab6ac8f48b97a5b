"""The client, as the engine sees it: whatever sits behind a socket and a codec."""

from dataclasses import dataclass
from typing import Protocol

from calls.domain.effects import Effect


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


Outgoing = Effect | AudioFrame | AudioEnd


class Client(Protocol):
    """One socket's worth of client. A call may have several, one after another."""

    reports_playback: bool
    """Whether it says what it played; else the playout counts time."""

    async def send(self, message: Outgoing) -> None:
        """Put the message on the wire in the client's words; may send nothing.

        Returns when the server has taken it, which says nothing of the client. Never raises
        for a client that has gone.
        """
        ...

    async def close(self, code: int) -> None:
        """Close the socket; idempotent."""
        ...
