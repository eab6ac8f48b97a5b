"""Personal data of an ended conversation is made unreadable in its words, silent in its sound.

Sound first: where it lies is known by the words. Cut off between the two, the next run finds the
same words and silences the same sound again. The summary waits until the words are redacted.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from calls.audio.silence import Span, joined, silenced
from calls.audio.wav import HEADER_BYTES
from calls.domain.items import Item as DomainItem
from calls.domain.items import Role, Source
from calls.models import (
    AuditAction,
    AuditEntry,
    Conversation,
    ConversationStatus,
    Item,
    Recording,
    RecordingState,
    Redaction,
    Summary,
    SummaryState,
    WorkState,
)
from calls.privacy.entries import Redacted, entry_redacted, json_redacted, text_redacted
from calls.privacy.passages import Passage
from calls.store.audit import audit
from calls.store.database import in_database
from calls.store.summaries import summaries_wake
from calls.store.traces import debug_file, peaks_remove
from calls.store.tracks import CHANNELS, FRAME_BYTES, LEFT, RATE_HZ, RIGHT
from calls.store.wakers import wake
from calls.store.waveforms import recording_samples_bytes
from calls.store.work import Lease, work_again, work_done, work_keep, work_take

logger = logging.getLogger(__name__)

REDACTIONS = "redactions"
BEFORE_MS, AFTER_MS = 500, 300
"""Around what the caller said: speech is noticed late, and dies away."""

AGENT_MARGIN_MS = 60
WAIT_S = 5.0
LONGEST_BACKOFF_S = 600.0
_CHUNK_FRAMES = 60 * RATE_HZ


@dataclass(frozen=True, slots=True)
class Work:
    """A conversation without personal data, and what of its sound has to be silent."""

    entries: tuple[tuple[Item, Redacted], ...]
    spans: dict[int, list[Span]]
    """By channel, in samples."""

    @property
    def found(self) -> int:
        return sum(entry.found for _, entry in self.entries)


def redaction_request(conversation: Conversation, *, actor: str = "", user: object = None) -> None:
    """Have an ended conversation redacted, once more if it was before."""
    fresh = {"state": WorkState.PENDING, "attempts": 0, "lease_until": None, "lease": ""}
    with transaction.atomic():
        Redaction.objects.update_or_create(conversation=conversation, defaults=fresh)
        if actor:
            audit(actor, AuditAction.REDACTED, conversation.pk, user=user)
        transaction.on_commit(lambda: wake(REDACTIONS), robust=True)


async def redactions_run_due() -> int:
    """Do all redactions that are due; returns how many were taken on.

    Raises:
        AWAY: the database is away.
    """
    return await in_database(redactions_work)


def redactions_work() -> int:
    """The same, for commands."""
    taken = 0
    ended = Redaction.objects.filter(conversation__status=ConversationStatus.ENDED)
    while (lease := work_take(ended)) is not None:
        taken += 1
        _take_on(lease)
    return taken


def _take_on(lease: Lease) -> None:
    recording = Recording.objects.filter(pk=lease.pk).first()
    if recording is not None and recording.state == RecordingState.WRITING:
        work_again(Redaction, lease, "The recording is still being written.", after_s=WAIT_S)
        return
    try:
        _redact(lease, recording)
    except OSError as error:
        extra = {"call_id": lease.pk, "error": error.strerror}
        logger.error("A recording cannot be redacted", extra=extra)  # noqa: TRY400 - no paths
        after_s = min(LONGEST_BACKOFF_S, 2.0 ** min(lease.attempt, 20))
        work_again(Redaction, lease, f"File: {error.strerror}", after_s=after_s)


def _redact(lease: Lease, recording: Recording | None) -> None:
    work = redaction_plan(lease.pk, _samples(recording))
    if not work_keep(Redaction, lease):
        return
    if recording is not None and any(work.spans.values()):
        recording_silence(recording.file, work.spans)
        peaks_remove(recording.file)
    if work.found:
        debug_file(lease.pk).unlink(missing_ok=True)
    with transaction.atomic():
        found = work.found + _summary(lease.pk)
        if not work_done(Redaction, lease, found=found):
            return
        for row, entry in work.entries:
            _store(row, entry.item)
        first = Conversation.objects.filter(pk=lease.pk, redacted_at=None)
        if first.update(redacted_at=Now()) and not _asked_for(lease.pk):
            audit("redaction", AuditAction.REDACTED, lease.pk)
    summaries_wake()


def _asked_for(call_id: str) -> bool:
    """Whether somebody's wish stands in the audit already."""
    return AuditEntry.objects.filter(call_id=call_id, action=AuditAction.REDACTED).exists()


def _samples(recording: Recording | None) -> int:
    """How many each channel of the file has; none where there is no file."""
    try:
        return recording_samples_bytes(recording.file) // FRAME_BYTES if recording else 0
    except FileNotFoundError:
        return 0


# Words


def redaction_plan(call_id: str, samples: int) -> Work:
    """What of the conversation has to change.

    Args:
        samples: length of the recording's channels.
    """
    entries: list[tuple[Item, Redacted]] = []
    spans: dict[int, list[Span]] = {LEFT: [], RIGHT: []}
    asked = ""
    for row in Item.objects.filter(conversation=call_id).order_by("item_id"):
        item = row.domain()
        entry = entry_redacted(item, asked=asked if item.role is Role.USER else "")
        if item.role is Role.AGENT:
            asked = item.text + item.unheard
        if entry.found:
            entries.append((row, entry))
            channel = RIGHT if item.role is Role.AGENT else LEFT
            spans[channel].extend(item_spans(item, entry.spoken, samples))
    return Work(tuple(entries), {side: joined(found) for side, found in spans.items()})


def _store(row: Item, item: DomainItem) -> None:
    """A new revision: what a journal still holds of an older one is not written over it."""
    Item.objects.filter(pk=row.pk, revision=row.revision).update(
        text=item.text,
        unheard=item.unheard,
        marks=[[mark.end_char, mark.at_ms] for mark in item.marks],
        arguments=item.arguments,
        metadata=item.metadata,
        revision=F("revision") + 1,
    )


def _summary(call_id: str) -> int:
    """Redact what an earlier summary said; one that is being written just now begins anew."""
    rows = Summary.objects.filter(pk=call_id)
    rows.filter(state=SummaryState.RUNNING).update(
        state=SummaryState.PENDING, lease="", lease_until=None
    )
    row = rows.first()
    if row is None:
        return 0
    texts = {name: text_redacted(getattr(row, name)) for name in ("title", "summary", "outcome")}
    data = {
        name: json_redacted(getattr(row, name))
        for name in ("key_points", "next_steps", "extracted")
    }
    changed = {**texts, **data}
    values = {name: kept for name, (kept, _) in changed.items()}
    rows.update(**values | {"title": values["title"][:200], "outcome": values["outcome"][:200]})
    return sum(found for _, found in changed.values())


# Sound


def item_spans(item: DomainItem, spoken: Sequence[Passage], samples: int) -> Iterator[Span]:
    """Where in the recording passages of an item are heard.

    Of the agent's words marks say it; of the caller's nothing does: all of the utterance goes.
    """
    if not spoken or item.role not in (Role.USER, Role.AGENT):
        return
    if item.role is Role.USER and item.source not in (Source.VOICE, Source.KEYPAD):
        return
    end_ms = item.ended_ms
    whole_end = samples if end_ms is None else _sample(end_ms + AFTER_MS)
    if item.role is Role.USER or not item.marks:
        yield max(0, _sample(item.started_ms - BEFORE_MS)), min(samples, whole_end)
        return
    for passage in spoken:
        start_ms, until_ms = _marked(item, passage)
        start = max(0, _sample(item.started_ms + start_ms - AGENT_MARGIN_MS))
        end = (
            whole_end if until_ms is None else _sample(item.started_ms + until_ms + AGENT_MARGIN_MS)
        )
        yield start, min(samples, whole_end, end)


def _marked(item: DomainItem, passage: Passage) -> tuple[int, int | None]:
    """From the end of what was said before the passage to the end of its last word.

    None: no mark says when that was.
    """
    before = [mark.at_ms for mark in item.marks if mark.end_char <= passage.start]
    behind = [mark.at_ms for mark in item.marks if mark.end_char >= passage.end]
    return (max(before) if before else 0), (min(behind) if behind else None)


def _sample(ms: int) -> int:
    return ms * RATE_HZ // 1000


def recording_silence(file: Path, spans: dict[int, list[Span]]) -> None:
    """Make these spans of a recording silent, on disk when this returns; idempotent.

    Raises:
        OSError: it could not be done, or only in part.
    """
    opened = os.open(file, os.O_RDWR)
    try:
        for channel, found in spans.items():
            for start, end in found:
                _silence(opened, channel, start, end)
        os.fsync(opened)
    finally:
        os.close(opened)


def _silence(opened: int, channel: int, start: int, end: int) -> None:
    for at in range(start, end, _CHUNK_FRAMES):
        offset = HEADER_BYTES + at * FRAME_BYTES
        pcm = os.pread(opened, (min(end, at + _CHUNK_FRAMES) - at) * FRAME_BYTES, offset)
        pcm = pcm[: len(pcm) - len(pcm) % FRAME_BYTES]
        quiet = memoryview(silenced(pcm, channels=CHANNELS, channel=channel))
        while quiet:
            written = os.pwrite(opened, quiet, offset)
            quiet, offset = quiet[written:], offset + written
