"""Units of work: what a call has to say to its record, as plain data that a journal can hold."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from calls.domain.errors import EndReason
from calls.domain.items import Item
from calls.domain.timings import Turn
from calls.domain.usage import ServiceUse
from calls.models import RecordingState
from calls.models.text import clean_integer, clean_json, clean_text

NAME_LENGTH = 100
PROVIDER_LENGTH = 40


class Kind(StrEnum):
    ITEM = "item"
    TURN = "turn"
    USE = "use"
    RECORDING = "recording"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Unit:
    """Something to be written of one call. Writing it twice is the same as writing it once.

    `fields` are JSON and clean: no NUL, no lone surrogate, no number that does not fit.
    """

    kind: Kind
    call_id: str
    fields: Mapping[str, Any]

    def line(self) -> bytes:
        """The unit as one line of a journal."""
        return json.dumps([self.kind, self.call_id, self.fields]).encode() + b"\n"


def unit_read(line: bytes) -> Unit:
    """The unit of a line.

    Raises:
        ValueError: the line is torn or none of ours.
    """
    kind, call_id, fields = json.loads(line)
    return Unit(Kind(kind), call_id, fields)


def unit_item(call_id: str, item: Item) -> Unit:
    fields = {
        "item_id": item.item_id,
        "revision": item.revision,
        "turn": clean_integer(item.turn),
        "role": item.role.value,
        "status": item.status.value,
        "source": item.source.value,
        "text": clean_text(item.text),
        "unheard": clean_text(item.unheard),
        "started_ms": clean_integer(item.started_ms),
        "ended_ms": _optional(item.ended_ms),
        "response_id": _optional(item.response_id),
        "marks": [[clean_integer(m.end_char), clean_integer(m.at_ms)] for m in item.marks],
        "tool_call_id": clean_text(item.tool_call_id, NAME_LENGTH),
        "tool_name": clean_text(item.tool_name, NAME_LENGTH),
        "arguments": clean_text(item.arguments),
        "metadata": clean_json(_metadata(item)),
    }
    return Unit(Kind.ITEM, call_id, fields)


def unit_turn(call_id: str, turn: Turn) -> Unit:
    stamps = {name: _optional(at_ms) for name, at_ms in asdict(turn.timings).items()}
    fields = {
        "turn": clean_integer(turn.turn),
        "response_id": _optional(turn.response_id),
        **stamps,
        "latency_ms": _optional(turn.timings.latency_ms),
        "interrupted": turn.interrupted,
        "heard_ms": clean_integer(turn.heard_ms),
        "spoken_ms": clean_integer(turn.spoken_ms),
        "error": clean_text(turn.error),
        "stt": clean_text(turn.stt, PROVIDER_LENGTH),
        "llm": clean_text(turn.llm, PROVIDER_LENGTH),
        "tts": clean_text(turn.tts, PROVIDER_LENGTH),
    }
    return Unit(Kind.TURN, call_id, fields)


def unit_use(call_id: str, use: ServiceUse) -> Unit:
    fields = {
        "number": clean_integer(use.number),
        "turn": clean_integer(use.turn),
        "response_id": _optional(use.response_id),
        "stage": clean_text(use.stage, 8),
        "provider": clean_text(use.provider, PROVIDER_LENGTH),
        "model": clean_text(use.model, NAME_LENGTH),
        "outcome": clean_text(use.outcome, 16),
        "began_ms": clean_integer(use.began_ms),
        "first_ms": _optional(use.first_ms),
        "duration_ms": clean_integer(use.duration_ms),
        "request_id": clean_text(use.request_id, NAME_LENGTH),
        "usage": clean_json(dict(use.usage)),
        "estimated": use.estimated,
        "cost_micros": _optional(use.cost_micros),
    }
    return Unit(Kind.USE, call_id, fields)


def unit_recording(
    call_id: str,
    state: RecordingState,
    *,
    path: str,
    rate_hz: int,
    channels: int,
    duration_ms: int = 0,
    size_bytes: int = 0,
) -> Unit:
    fields = {
        "state": state.value,
        "path": path,
        "rate_hz": rate_hz,
        "channels": channels,
        "duration_ms": clean_integer(duration_ms),
        "size_bytes": size_bytes,
    }
    return Unit(Kind.RECORDING, call_id, fields)


def unit_finish(call_id: str, reason: EndReason, *, duration_ms: int) -> Unit:
    fields = {"reason": reason.value, "duration_ms": clean_integer(duration_ms)}
    return Unit(Kind.FINISH, call_id, fields)


def _optional(value: int | None) -> int | None:
    return None if value is None else clean_integer(value)


def _metadata(item: Item) -> Mapping[str, Any]:
    """With the name that a client gave the entry, which has no column of its own."""
    return {**item.metadata, "ref": item.ref} if item.ref else item.metadata
