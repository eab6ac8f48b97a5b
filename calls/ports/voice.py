"""The voice session: one call's ears, mind and voice."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, Self

from calls.domain.events import Event
from calls.domain.items import Item
from calls.ports.usage import ServiceReport

ReportTaker = Callable[[ServiceReport, int | None], None]
"""Takes a report, and the response it belongs to; None: it belongs to the caller's words."""


@dataclass(frozen=True, slots=True)
class VoiceProfile:
    """What a session is made of and what it needs.

    `stt`, `llm`, `tts` name the active providers as the page and the record show them;
    `notice` is one sentence the page must show (empty: none).
    """

    stt: str
    llm: str
    tts: str
    notice: str = ""
    all_audio: bool = False
    """True for sessions with ears of their own: they get every frame, not utterances only.

    Such a session says itself when the caller speaks, with `SpeechStarted`, `SpeechStopped` and,
    when the turn is over, `TalkStopped`; `commit` follows as an answer to that.
    """


class VoiceSession(Protocol):
    """One call's ears, mind and voice: a cascade of three services, or one that is all three.

    Audio in is `audio.CALLER`, audio out `audio.AGENT`. Methods are called by one task, in
    order; `events` is iterated by another.
    """

    profile: VoiceProfile

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ProviderError: the session cannot begin.
        """
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Disconnect. Idempotent; returns within a second even if the other side hangs."""
        ...

    async def listen(self, pcm: bytes) -> None:
        """Take caller audio of the current utterance, pre-roll first."""
        ...

    async def commit(self) -> None:
        """The caller's turn is over; returns at once.

        Exactly one `TranscriptFinal`, empty if need be, or one `VoiceFailed(stage=STT)` follows.
        """
        ...

    async def discard(self) -> None:
        """Forget the audio since the last commit; nothing follows."""
        ...

    async def respond(
        self, response_id: int, items: tuple[Item, ...], *, tools_allowed: bool
    ) -> None:
        """Begin to answer; returns at once.

        Events of the answer carry `response_id`; the last one is `ResponseDone`, or
        `VoiceFailed` with that id. Every piece of text comes before its audio.
        """
        ...

    async def say(self, response_id: int, text: str) -> None:
        """Speak exactly this text; events as for `respond`."""
        ...

    async def cancel(self, response_id: int, heard_ms: int) -> None:
        """Stop that response and free what it holds at once. Unknown ids are ignored."""
        ...

    async def settle(self, response_id: int, heard_ms: int) -> None:
        """Of that response so much was heard, and that is final; comes before what follows it.

        A session that keeps the conversation itself forgets the rest. Unknown ids are ignored.
        """
        ...

    async def reset(self, system_prompt: str | None) -> None:
        """The conversation was replaced; None keeps the system prompt."""
        ...

    def hold(self, held: bool, /) -> None:
        """True: enough audio lies ahead, begin no further sentence; False: go on."""
        ...

    def report_to(self, take: ReportTaker, /) -> None:
        """Tell of every request to a provider once it is over; `take` neither waits nor raises."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """What the session has to say, in the order in which it happened.

        Raises:
            ProviderError: the session is of no further use.
        """
        ...
