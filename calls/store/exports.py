"""A conversation to take away: as JSON for programs, as text for people."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from calls.models import Turn
from calls.store.reviews import Entry, Review
from calls.store.wording import clock

FORMAT = 1

_CONVERSATION = (
    "call_id", "agent_slug", "agent_snapshot", "protocol", "status", "end_reason", "duration_ms",
    "language", "caller", "metadata", "user_agent", "heard", "turn_count", "interruption_count",
    "latency_ms",
)  # fmt: skip
_SUMMARY = (
    "state", "title", "summary", "key_points", "next_steps", "outcome", "language", "method",
    "provider", "extracted", "extraction_error",
)  # fmt: skip
_USE = (
    "number", "turn", "response_id", "stage", "provider", "model", "outcome", "began_ms",
    "first_ms", "duration_ms", "request_id", "usage", "estimated",
)  # fmt: skip
_RECORDING = ("state", "rate_hz", "channels", "duration_ms", "size_bytes")


def export_json(review: Review) -> dict[str, Any]:
    """Everything on the record; `docs/data.md` says what it means."""
    row = review.conversation
    return {
        "format": FORMAT,
        **{name: getattr(row, name) for name in _CONVERSATION},
        "started_at": row.started_at.isoformat(),
        "ended_at": row.ended_at.isoformat() if row.ended_at else None,
        "items": [_item(entry) for entry in review.entries],
        "turns": [_turn(wait.turn) for wait in review.waits],
        "uses": [_fields(row, _USE) for row in review.uses],
        "summary": _fields(review.summary, _SUMMARY),
        "recording": _fields(review.recording, _RECORDING),
    }


def export_text(review: Review) -> str:
    """The conversation as it is read aloud, with what was not heard in brackets."""
    return "\n".join(_lines(review)) + "\n"


def _lines(review: Review) -> Iterator[str]:
    row = review.conversation
    yield f"Call {row.call_id} with {row.agent_slug}, {row.started_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"Length {clock(review.length_ms)}, {row.get_end_reason_display() or 'still going on'}"
    if review.summary and review.summary.summary:
        yield from ("", review.summary.title, review.summary.summary)
        yield from (f"- {point}" for point in review.summary.key_points)
    yield ""
    yield from (_line(entry) for entry in review.entries)


def _line(entry: Entry) -> str:
    item = entry.item
    said = item.text.strip()
    if item.tool_name:
        said = f"{item.tool_name}({item.arguments}) -> {item.text}"
    if entry.unheard:
        said = f"{said} [not heard: {entry.unheard}]".strip()
    state = "" if item.status == "complete" else f" ({item.status.replace('_', ' ')})"
    return f"[{clock(item.started_ms)}] {entry.who}{state}: {said}"


def _item(entry: Entry) -> dict[str, Any]:
    return asdict(entry.item) | {"marks": [[m.end_char, m.at_ms] for m in entry.item.marks]}


def _turn(turn: Turn) -> dict[str, Any]:
    timings = turn.timings
    return {
        "turn": turn.turn,
        "response_id": turn.response_id,
        "latency_ms": timings.latency_ms,
        "stages": timings.stages(),
        "stamps": asdict(timings),
        "interrupted": turn.interrupted,
        "heard_ms": turn.heard_ms,
        "spoken_ms": turn.spoken_ms,
        "error": turn.error,
        "providers": {"stt": turn.stt, "llm": turn.llm, "tts": turn.tts},
    }


def _fields(row: object | None, names: tuple[str, ...]) -> dict[str, Any] | None:
    return None if row is None else {name: getattr(row, name) for name in names}
