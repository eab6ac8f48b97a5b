"""The voice session: one call's ears, mind and voice."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, Self

from calls.domain.events import Event
from calls.domain.items import Item
from calls.domain.wishes import AS_USUAL, Wishes
from calls.ports.tools import ToolSpec
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChange:
    """What a client wants different from now on; None keeps what is.

    Attributes:
        system_prompt: in place of the agent's.
        tools: those that the client answers itself, beside the agent's own.
        tool_choice: "" as the model likes, "none", "required", or the name of one tool.
        voice: the provider's name for it; a session whose voices it is not among ignores it.
        speed: 1.0 is the voice's normal pace.
        language: BCP 47 tag of what the caller speaks.
        text_only: no sound is made.
        max_output_tokens: of one answer; 0: no limit.
    """

    system_prompt: str | None = None
    tools: tuple[ToolSpec, ...] | None = None
    tool_choice: str | None = None
    voice: str | None = None
    speed: float | None = None
    language: str | None = None
    text_only: bool | None = None
    max_output_tokens: int | None = None


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
        self,
        response_id: int,
        items: tuple[Item, ...],
        *,
        tools_allowed: bool,
        wishes: Wishes = AS_USUAL,
    ) -> None:
        """Begin to answer; returns at once.

        Events of the answer carry `response_id`; the last one is `ResponseDone`, or
        `VoiceFailed` with that id. Every piece of text comes before its audio. `wishes` hold for
        this answer alone; a session that cannot fulfil one of them does without.
        """
        ...

    async def configure(self, change: SessionChange) -> None:
        """Be different from the next answer, and the next utterance, on; returns at once."""
        ...

    async def say(self, response_id: int, text: str) -> None:
        """Speak exactly this text; events as for `respond`."""
        ...

    async def cancel(self, response_id: int, heard_ms: int) -> None:
        """Stop that response and free what it holds at once. Unknown ids are ignored."""
        ...

    async def settle(self, response_id: int, heard_ms: int) -> None:
        """Of that response so much was heard, and that is final; comes before what follows it.

        A session that keeps the conversation itself forgets the rest. It may come again, with
        less, from a client that finds out later. Unknown ids are ignored.
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
