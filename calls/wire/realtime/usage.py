"""How many tokens an answer would have come to: an estimate, for clients that count them."""

from collections.abc import Iterable
from typing import Any

from calls.wire.realtime.items import Entry

CHARS_PER_TOKEN = 4
"""Our rule of thumb for text in European languages."""

USER_TOKEN_MS = 100
AGENT_TOKEN_MS = 50
"""What OpenAI counts sound at, of the caller and of the agent (its guide on managing costs)."""


def tokens_of(text: str) -> int:
    return -(-len(text) // CHARS_PER_TOKEN)


def usage_of(
    instructions: str, before: Iterable[Entry], heard_ms: int, made: Iterable[Entry]
) -> dict[str, Any]:
    """As `response.done` shows it.

    Args:
        before: the conversation that was answered.
        heard_ms: of the caller's sound in it.
        made: the items of the answer.
    """
    made = tuple(made)
    said_in = tokens_of(instructions) + sum(tokens_of(entry.text) for entry in before)
    said_out = sum(tokens_of(entry.text) for entry in made)
    sound_in = heard_ms // USER_TOKEN_MS
    sound_out = sum(entry.sound_ms for entry in made) // AGENT_TOKEN_MS
    return {
        "total_tokens": said_in + sound_in + said_out + sound_out,
        "input_tokens": said_in + sound_in,
        "output_tokens": said_out + sound_out,
        "input_token_details": {
            "text_tokens": said_in,
            "audio_tokens": sound_in,
            "cached_tokens": 0,
        },
        "output_token_details": {"text_tokens": said_out, "audio_tokens": sound_out},
    }
