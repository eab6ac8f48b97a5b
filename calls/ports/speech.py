"""What a cascade is made of: speech to text, language model, text to speech."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from calls.domain.events import Direction
from calls.domain.items import Item, Mark
from calls.ports.tools import ToolSpec


@runtime_checkable
class CallScoped(Protocol):
    """A service that holds connections of its own for one call, and so belongs to that call.

    The voice session enters it when it begins and leaves it when it ends, both in one task.
    """

    async def __aenter__(self) -> object:
        """Begin; connects nothing and cannot fail."""
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Let go of everything, within a second whatever hangs."""
        ...

    def warm(self) -> None:
        """It is about to be used: connect in the background. What fails is told at use."""
        ...


class Transcriber(Protocol):
    """One utterance on its way to text."""

    async def feed(self, pcm: bytes) -> None:
        """Take the next audio, `audio.CALLER`; never waits for the provider."""
        ...

    async def finish(self) -> str:
        """The utterance is complete: its text, stripped; empty if nothing was understood.

        Raises:
            ProviderError: stage STT.
        """
        ...

    def partials(self) -> AsyncIterator[str]:
        """All of the utterance so far, each time it changes; ends with `finish`."""
        ...


class SpeechToText(Protocol):
    @property
    def name(self) -> str:
        """Provider and model, such as "openai:gpt-transcribe"; of a choice, who served last."""
        ...

    def utterance(
        self, *, language: str, context: str = ""
    ) -> AbstractAsyncContextManager[Transcriber]:
        """Begin an utterance. Leaving the context frees everything at once, finished or not.

        What the provider says of model, request and cost goes to `calls.ports.usage.note`.

        Args:
            language: BCP 47 tag.
            context: the agent's last words; helps some recognisers.
        """
        ...


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallRequested:
    tool_call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Directed:
    direction: Direction


@dataclass(frozen=True, slots=True)
class Noted:
    """Metadata for the answer; must survive JSON."""

    metadata: Mapping[str, Any] = field(default_factory=dict)


Answer = TextDelta | ToolCallRequested | Directed | Noted


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a language model is asked.

    `items` are oldest first; an agent's item holds what was heard, tool items hold call and
    result. `tools` is empty when no further tool call is wanted. `tool_choice` is "" as the model
    likes, "required", or the name of one of `tools`; a model that cannot be told chooses itself.
    `max_output_tokens` is of this answer; None: what the model is set up with, which also counts
    where it is less.
    """

    system_prompt: str
    items: Sequence[Item]
    tools: Sequence[ToolSpec]
    language: str
    tool_choice: str = ""
    max_output_tokens: int | None = None


class LanguageModel(Protocol):
    @property
    def name(self) -> str:
        """Provider and model, such as "openai:gpt-transcribe"; of a choice, who served last."""
        ...

    def answer(self, prompt: Prompt) -> AbstractAsyncContextManager[AsyncIterator[Answer]]:
        """Stream an answer. Leaving the context frees the connection at once.

        What the provider says of model, request and cost goes to `calls.ports.usage.note`.

        Raises (on entry or while iterating):
            ProviderError: stage LLM; TRUNCATED when the stream ends early.
        """
        ...


@dataclass(frozen=True, slots=True)
class SpokenAudio:
    """Audio of a text, `audio.AGENT`; mark times count from the start of the text's audio."""

    pcm: bytes
    marks: tuple[Mark, ...] = ()


class TextToSpeech(Protocol):
    @property
    def name(self) -> str:
        """Provider and model, such as "openai:gpt-transcribe"; of a choice, who served last."""
        ...

    def speak(
        self, text: str, *, language: str, voice: str, speed: float
    ) -> AbstractAsyncContextManager[AsyncIterator[SpokenAudio]]:
        """Stream the audio of one sentence or clause. Leaving the context stops it at once.

        What the provider says of model, request and cost goes to `calls.ports.usage.note`.

        Args:
            voice: the provider's own name for it; empty for its default.
            speed: 1.0 is the voice's normal pace; a provider that knows other bounds clamps it.

        Raises (on entry or while iterating):
            ProviderError: stage TTS.
        """
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What a cascade is made of. Without `tts` answers are text alone.

    A service that is `CallScoped` belongs to one call; others serve many at once.
    """

    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech | None
