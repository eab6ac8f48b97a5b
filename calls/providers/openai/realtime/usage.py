"""What an answer or a transcript cost, in the names that reports use."""

from collections.abc import Mapping
from typing import Any


def response_usage(usage: Mapping[str, Any] | None) -> dict[str, int]:
    """Of `response.done`."""
    told = usage or {}
    into = told.get("input_token_details") or {}
    out = told.get("output_token_details") or {}
    cached = into.get("cached_tokens_details") or {}
    return _known(
        {
            "input_tokens": told.get("input_tokens"),
            "cached_tokens": into.get("cached_tokens"),
            "output_tokens": told.get("output_tokens"),
            "input_audio_tokens": into.get("audio_tokens"),
            "cached_audio_tokens": cached.get("audio_tokens"),
            "output_audio_tokens": out.get("audio_tokens"),
        }
    )


def transcription_usage(usage: Mapping[str, Any] | None, audio_ms: int) -> dict[str, int]:
    """Of a transcript; paid by tokens or by time. `audio_ms` is what we sent."""
    told = usage or {}
    into = told.get("input_token_details") or {}
    seconds = told.get("seconds")
    paid_ms = round(float(seconds) * 1000) if isinstance(seconds, int | float) else audio_ms
    figures = {
        "input_tokens": told.get("input_tokens"),
        "output_tokens": told.get("output_tokens"),
        "input_audio_tokens": into.get("audio_tokens"),
        "audio_ms": paid_ms,
    }
    return _known(figures)


def _known(figures: Mapping[str, Any]) -> dict[str, int]:
    return {name: figure for name, figure in figures.items() if isinstance(figure, int)}
