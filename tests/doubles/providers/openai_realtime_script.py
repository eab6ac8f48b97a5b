"""What a realtime double is told to hear and to say."""

import asyncio
import math
from array import array
from dataclasses import dataclass
from typing import Any

RATE_HZ = 24_000
BYTES_PER_MS = 48
TONE_HZ = 440


class RejectedError(Exception):
    """An event of the client breaks a rule: it is answered by an `error` event."""

    def __init__(self, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


@dataclass(frozen=True)
class Hear:
    """What the next committed input says.

    Attributes:
        text: the final transcript.
        partials: deltas before it; a live model sends one for every append that is not silent,
            others send them after the commit. What they leave of the text is not sent as deltas.
        fails: `.failed` with this code instead of `.completed`.
        after: the final waits for it.
    """

    text: str
    partials: tuple[str, ...] = ()
    fails: str = ""
    after: asyncio.Event | None = None


@dataclass(frozen=True)
class Says:
    """A message, in these pieces: each is a transcript delta, followed by its audio.

    Attributes:
        held_after: after so many pieces it waits for `go_on` of the double; None: it does not.
    """

    pieces: tuple[str, ...]
    held_after: int | None = None

    def __init__(self, *pieces: str, held_after: int | None = None) -> None:
        object.__setattr__(self, "pieces", pieces)
        object.__setattr__(self, "held_after", held_after)


@dataclass(frozen=True)
class CallsTool:
    """A function call; `arguments` as JSON text."""

    name: str
    arguments: str = "{}"
    call_id: str = ""


@dataclass(frozen=True)
class Stalls:
    """Nothing more comes of this response until it is cancelled."""


@dataclass(frozen=True)
class Fails:
    """The response ends as `failed` with this code.

    Attributes:
        held: not before `go_on` of the double is set.
    """

    code: str = "server_error"
    held: bool = False


@dataclass(frozen=True)
class Stops:
    """The response ends as `incomplete` for this reason; `held` as with `Fails`."""

    reason: str = "max_output_tokens"
    held: bool = False


Output = Says | CallsTool | Stalls | Fails | Stops
Answer = Output | list[Output]
"""One response; a list holds several outputs, in order."""


def _waves(count: int) -> bytes:
    step = 2 * math.pi * TONE_HZ / RATE_HZ
    return array("h", [1 + round(6000 * (1 + math.sin(n * step))) for n in range(count)]).tobytes()


_WAVES = _waves(600)  # eleven of them


def tone(ms: int) -> bytes:
    """So many milliseconds of a tone at 24 kHz."""
    size = ms * BYTES_PER_MS
    return (_WAVES * (size // len(_WAVES) + 1))[:size]


def words(text: str) -> int:
    return len(text.split())


def transcription_usage(ms: int, text: str, *, by_duration: bool) -> dict[str, Any]:
    if by_duration:
        return {"type": "duration", "seconds": ms / 1000}
    heard = ms // 100
    return {
        "type": "tokens",
        "input_tokens": heard,
        "output_tokens": words(text),
        "total_tokens": heard + words(text),
        "input_token_details": {"audio_tokens": heard, "text_tokens": 0},
    }


def response_usage(asked_words: int, asked_ms: int, text: str, ms: int) -> dict[str, Any]:
    """100 ms of the caller and 50 ms of the model's voice are one token each."""
    heard, spoken = asked_ms // 100, ms // 50
    return {
        "total_tokens": asked_words + heard + words(text) + spoken,
        "input_tokens": asked_words + heard,
        "output_tokens": words(text) + spoken,
        "input_token_details": {
            "text_tokens": asked_words,
            "audio_tokens": heard,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": words(text), "audio_tokens": spoken},
    }
