"""What is kept for how long: sound, words, figures; and what nobody needs any more.

Each step finds by the rows what is still to do, so that a run that was cut off is finished by the
next one, and two at once do no harm. Files go after their rows; what a crash leaves between the two
is found by the sweep, which knows a file without a row from one of a live call by its age.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from calls.conf import calls_settings
from calls.models import (
    Agent,
    Conversation,
    ConversationStatus,
    Item,
    RealtimeSecret,
    Recording,
    Redaction,
    Summary,
    Turn,
    UsedToken,
    WebhookDelivery,
    WorkState,
)
from calls.models.recordings import PEAKS_SUFFIX

logger = logging.getLogger(__name__)

BATCH = 200
ORPHAN_AGE_S = 86_400
WORK_DAYS = 30
"""So long finished work and told webhooks stay, for whoever wants to know what happened."""


@dataclass(slots=True)
class Purged:
    """How many of each went, or would."""

    recordings: int = 0
    texts: int = 0
    callers: int = 0
    conversations: int = 0
    files: int = 0
    tokens: int = 0
    work: int = 0

    def as_json(self) -> dict[str, int]:
        return asdict(self)


def purge(*, dry_run: bool = False) -> Purged:
    """Remove what is older than it may be; only of ended calls.

    Raises:
        AWAY: the database is away; what is gone is gone, the next run does the rest.
    """
    purged = Purged()
    for name, step in _STEPS.items():
        setattr(purged, name, step(dry_run))
    if not dry_run and any(getattr(purged, field.name) for field in fields(purged)):
        logger.info("Old data was removed", extra=purged.as_json())
    return purged


# What is too old


def too_old(kind: str) -> QuerySet[Conversation]:
    """Ended conversations that have been kept long enough. `kind`: audio, text or figures.

    An agent's own number of days goes before that of the settings; 0 is for ever.
    """
    ended = Conversation.objects.filter(status=ConversationStatus.ENDED)
    return ended.filter(_aged(kind)).order_by("ended_at")


def _aged(kind: str) -> Q:
    days = getattr(calls_settings(), f"keep_{kind}_days")
    name = f"keep_{kind}_days"
    if kind == "figures":
        return _before(days)
    own = Agent.objects.exclude(**{name: None}).values_list("pk", name)
    aged = (Q(agent=None) | Q(**{f"agent__{name}": None})) & _before(days)
    for pk, agent_days in own:
        aged |= Q(agent=pk) & _before(agent_days)
    return aged


def _before(days: int) -> Q:
    return Q(ended_at__lt=Now() - timedelta(days=days)) if days else Q(pk__in=[])


def _recordings(dry_run: bool) -> int:
    found = Recording.objects.filter(pk__in=too_old("audio").values("pk"))
    return _each(found, dry_run, lambda batch: Recording.objects.filter(pk__in=batch).delete())


def _texts(dry_run: bool) -> int:
    found = too_old("text").filter(text_removed_at=None)
    return _each(found, dry_run, _remove_text)


@transaction.atomic
def _remove_text(call_ids: list[Any]) -> None:
    Item.objects.filter(conversation__in=call_ids).update(
        text="", unheard="", arguments="", metadata={}, marks=[], revision=F("revision") + 1
    )
    Turn.objects.filter(conversation__in=call_ids).update(error="")
    Summary.objects.filter(pk__in=call_ids).delete()
    Redaction.objects.filter(pk__in=call_ids).delete()
    Conversation.objects.filter(pk__in=call_ids).update(
        text_removed_at=Now(), metadata={}, user_agent="", agent_snapshot={}
    )


def _callers(dry_run: bool) -> int:
    """Who called is known as long as there is something to hear or read: erasing goes by it."""
    named = ~Q(caller="") | ~Q(user=None) | ~Q(address_key="")
    found = Conversation.objects.filter(named, recording=None).exclude(text_removed_at=None)
    nobody = {"caller": "", "user": None, "address_key": "", "token_id": ""}
    return _each(
        found, dry_run, lambda batch: Conversation.objects.filter(pk__in=batch).update(**nobody)
    )


def _conversations(dry_run: bool) -> int:
    return _each(
        too_old("figures"),
        dry_run,
        lambda batch: Conversation.objects.filter(pk__in=batch).delete(),
    )


def _each(found: QuerySet[Any], dry_run: bool, remove: Callable[[list[Any]], object]) -> int:
    """Do it to all that are found, some at a time; how many there were."""
    call_ids = list(found.values_list("pk", flat=True))
    if not dry_run:
        for batch in batched_lists(call_ids):
            remove(batch)
    return len(call_ids)


# What nobody needs


def _files(dry_run: bool) -> int:
    orphans = [*_orphans(), *_debug_orphans()]
    if not dry_run:
        for file in orphans:
            file.unlink(missing_ok=True)
    return len(orphans)


def _orphans() -> Iterator[Path]:
    """Files in the folder of recordings that belong to no row."""
    folder = calls_settings().recordings_dir
    for batch in batched_lists(_old_files(folder)):
        names = {file: _recording_name(folder, file) for file in batch}
        known = set(
            Recording.objects.filter(path__in=set(names.values())).values_list("path", flat=True)
        )
        yield from (file for file, name in names.items() if name not in known)


def _recording_name(folder: Path, file: Path) -> str:
    """The recording that a file is, or lies beside."""
    name = file.relative_to(folder).as_posix()
    for suffix in (PEAKS_SUFFIX, ".new"):
        name = name.removesuffix(suffix)
    return name if name.endswith(".wav") else f"{name}.wav"


def _debug_orphans() -> Iterator[Path]:
    """Last utterances of calls that are gone, or whose sound has been kept long enough."""
    for batch in batched_lists(_old_files(calls_settings().debug_dir)):
        call_ids = {file: file.stem for file in batch}
        rows = Conversation.objects.filter(pk__in=call_ids.values())
        keep = set(rows.exclude(pk__in=too_old("audio").values("pk")).values_list("pk", flat=True))
        yield from (file for file, call_id in call_ids.items() if call_id not in keep)


def _old_files(folder: Path) -> Iterator[Path]:
    """Those that nobody has written to for a day, by the machine's clock."""
    if not folder.is_dir():
        return
    now_s = datetime.now(UTC).timestamp()  # files have the machine's time, not the database's
    for file in sorted(folder.rglob("*")):
        try:
            if file.is_file() and file.stat().st_mtime < now_s - ORPHAN_AGE_S:
                yield file
        except FileNotFoundError:
            continue


def _tokens(dry_run: bool) -> int:
    expired = Q(expires_at__lt=Now() - timedelta(days=1))
    return sum(
        _gone(model.objects.filter(expired), dry_run) for model in (UsedToken, RealtimeSecret)
    )


def _work(dry_run: bool) -> int:
    finished = Q(state__in=[WorkState.DONE, WorkState.FAILED])
    old = finished & Q(requested_at__lt=Now() - timedelta(days=WORK_DAYS))
    redacted = Redaction.objects.filter(old, state=WorkState.DONE)
    return _gone(WebhookDelivery.objects.filter(old), dry_run) + _gone(redacted, dry_run)


def _gone(rows: QuerySet[Any], dry_run: bool) -> int:
    return rows.count() if dry_run else rows.delete()[0]


def batched_lists(entries: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


_STEPS: dict[str, Callable[[bool], int]] = {
    "recordings": _recordings,
    "texts": _texts,
    "callers": _callers,
    "conversations": _conversations,
    "files": _files,
    "tokens": _tokens,
    "work": _work,
}
