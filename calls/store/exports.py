"""A conversation to take away: as JSON for programs, as text for people."""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from calls.audio.wav import HEADER_BYTES
from calls.models import AuditAction, Conversation, Recording, Turn
from calls.store.audit import audit
from calls.store.reviews import Entry, Review, review
from calls.store.waveforms import recording_header, recording_samples_bytes
from calls.store.wording import clock

FORMAT = 1

_CONVERSATION = (
    "call_id", "agent_slug", "agent_snapshot", "protocol", "status", "end_reason", "duration_ms",
    "language", "site_slug", "caller", "metadata", "user_agent", "heard", "turn_count",
    "interruption_count", "latency_ms", "cost_micros", "consent_text",
)  # fmt: skip
_SUMMARY = (
    "state", "title", "summary", "key_points", "next_steps", "outcome", "language", "method",
    "provider", "extracted", "extraction_error",
)  # fmt: skip
_USE = (
    "number", "turn", "response_id", "stage", "provider", "model", "outcome", "began_ms",
    "first_ms", "duration_ms", "request_id", "usage", "estimated", "cost_micros",
)  # fmt: skip
_TIMES = ("started_at", "ended_at", "consented_at", "redacted_at", "text_removed_at")
_RECORDING = ("state", "rate_hz", "channels", "duration_ms", "size_bytes")


def export_json(review: Review) -> dict[str, Any]:
    """Everything on the record; `docs/data.md` says what it means."""
    row = review.conversation
    return {
        "format": FORMAT,
        **{name: getattr(row, name) for name in _CONVERSATION},
        **{name: _iso(getattr(row, name)) for name in _TIMES},
        "items": [_item(entry) for entry in review.entries],
        "turns": [_turn(wait.turn) for wait in review.waits],
        "uses": [_fields(row, _USE) for row in review.uses],
        "summary": _fields(review.summary, _SUMMARY),
        "recording": _fields(review.recording, _RECORDING),
    }


def export_text(review: Review) -> str:
    """The conversation as it is read aloud, with what was not heard in brackets."""
    return "\n".join(_lines(review)) + "\n"


def export_calls(call_ids: Iterable[str], folder: Path, *, actor: str, user: Any = None) -> int:
    """Write `<call id>.json`, and `<call id>.wav` where there is a recording, into a folder.

    What is there already is written anew. Each call leaves an entry in the audit.

    Returns:
        How many calls there were.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    count = 0
    rows = Conversation.objects.select_related("agent", "user", "recording", "summary")
    for row in rows.filter(pk__in=list(call_ids)).order_by("started_at"):
        audit(actor, AuditAction.EXPORTED, row.pk, user=user, detail="json and sound")
        name = quote(row.pk, safe="")
        content = json.dumps(export_json(review(row)), indent=2, ensure_ascii=False, default=str)
        _write(folder / f"{name}.json", content.encode())
        recording: Recording | None = getattr(row, "recording", None)
        if recording is not None and recording.file.is_file():
            _copy(recording, folder / f"{name}.wav")
        count += 1
    return count


def _copy(recording: Recording, to: Path) -> None:
    """With a header that says what the file holds, whatever state it is in."""
    samples_bytes = recording_samples_bytes(recording.file)
    with recording.file.open("rb") as sound, _private(to) as out:
        out.write(recording_header(samples_bytes))
        sound.seek(HEADER_BYTES)
        shutil.copyfileobj(sound, out)


def _write(path: Path, data: bytes) -> None:
    with _private(path) as out:
        out.write(data)


def _private(path: Path) -> BinaryIO:
    """A file that only we read."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


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
