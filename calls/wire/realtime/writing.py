"""Events to the client: numbered, and named as its dialect names them."""

import json
from collections.abc import Mapping
from typing import Any

from calls.wire.base import Frame
from calls.wire.fields import without_nan
from calls.wire.realtime.dialect import Dialect

BETA_NAMES: Mapping[str, str] = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}
"""What the beta calls differently; the code speaks GA."""

EVENTS = frozenset(
    {
        "session.created",
        "session.updated",
        "conversation.created",
        "conversation.item.created",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.retrieved",
        "conversation.item.deleted",
        "conversation.item.truncated",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.failed",
        "input_audio_buffer.committed",
        "input_audio_buffer.cleared",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "response.created",
        "response.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "error",
    }
)
"""All that is ever said, as the GA names it.

`created` of conversations and items to the beta alone, `added` and `done` of items to the GA alone.
"""

_NESTED = {
    "response.output_audio.delta": ("audio.delta", "audio"),
    "response.output_text.delta": ("text.delta", "text"),
}
"""Deltas that `realtime-transport-websocket` reads from an object."""


class Names:
    """Identifiers of one socket, counted: chance has no place in a codec."""

    def __init__(self, ref: str) -> None:
        self._ref = ref
        self._counts: dict[str, int] = {}

    @property
    def session(self) -> str:
        return f"sess_{self._ref}"

    @property
    def conversation(self) -> str:
        return f"conv_{self._ref}"

    def next(self, kind: str) -> str:
        self._counts[kind] = count = self._counts.get(kind, 0) + 1
        return f"{kind}_{self._ref}_{count}"


class Out:
    """What goes to the client next.

    Attributes:
        nested: the client reads deltas and transcripts as `realtime-transport-websocket` does.
    """

    def __init__(self, names: Names, dialect: Dialect | None) -> None:
        self.nested = False
        self._names = names
        self._dialect = dialect
        self._frames: list[Frame] = []

    @property
    def dialect(self) -> Dialect:
        return self._dialect or Dialect.GA

    @property
    def decided(self) -> bool:
        return self._dialect is not None

    def decide(self, dialect: Dialect | None) -> None:
        """Speak it from now on; what is decided stays."""
        self._dialect = self._dialect or dialect

    @property
    def is_ga(self) -> bool:
        return self.dialect is Dialect.GA

    def put(self, kind: str, **fields: Any) -> None:
        """Say it; `kind` as the GA names it. Whoever is told anything is told all in one dialect.

        `session.created` comes before there is any evidence, and decides nothing.
        """
        if kind not in ("session.created", "error"):
            self.decide(self.dialect)
        if self.nested and kind in _NESTED and not self.is_ga:
            name, key = _NESTED[kind]
            fields["delta"] = {"type": name, key: fields["delta"]}
        name = kind if self.is_ga else BETA_NAMES.get(kind, kind)
        event = {"type": name, "event_id": self._names.next("event"), **fields}
        self._frames.append(as_json(event))

    def take(self) -> tuple[Frame, ...]:
        """Everything since the last time, in order."""
        frames, self._frames = tuple(self._frames), []
        return frames


def as_json(event: Mapping[str, Any]) -> str:
    # Escaped to ASCII: a lone surrogate from a model must not break the socket.
    try:
        return json.dumps(event, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(without_nan(event), separators=(",", ":"))
