"""Summaries of ended conversations: state on a row, so that none is lost whatever dies when."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from calls.domain.items import Item as DomainItem
from calls.domain.items import ItemStatus
from calls.models import (
    Conversation,
    ConversationStatus,
    Item,
    Summary,
    SummaryMethod,
    SummaryState,
    WebhookEvent,
    WorkState,
)
from calls.models.text import clean_json, clean_text
from calls.ports.errors import ProviderError
from calls.ports.summary import Extractor, Summarizer, SummaryDraft
from calls.store.database import in_database
from calls.store.keeping import lease_kept
from calls.store.loops import work_loop
from calls.store.wakers import wake
from calls.store.webhooks import deliveries_add
from calls.store.work import MOST_ATTEMPTS, work_again, work_done, work_fail, work_take
from calls.store.work import Lease as WorkLease

logger = logging.getLogger(__name__)

SUMMARIZE_TIMEOUT_S = 60
EXTRACT_TIMEOUT_S = 45
NO_EXTRACTOR = "Needs a language model."
POLL_S = 5.0


@dataclass(frozen=True, slots=True)
class Summarizers:
    """Who may write a summary: a language model where there is one, else the rule."""

    model: Summarizer | None
    extractive: Summarizer
    extractor: Extractor | None = None
    """Picks data out by the agent's schema, if it has one."""


SummarizerFactory = Callable[[Mapping[str, Any]], Summarizers]
"""The summarizers for a conversation, by the settings its agent had."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A summary that is ours to write, and what it is written from."""

    work: WorkLease
    items: tuple[DomainItem, ...]
    language: str
    agent: Mapping[str, Any]

    @property
    def attempt(self) -> int:
        return self.work.attempt


@dataclass(frozen=True, slots=True)
class _Written:
    """A summary to be stored; `error` is why a better one failed."""

    draft: SummaryDraft
    method: SummaryMethod
    provider: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Picked:
    """What was picked out; or why nothing was, and whether to try again."""

    data: Mapping[str, Any] | None = None
    error: str = ""
    again: bool = False


def summary_request(conversation: Conversation) -> None:
    """Have the conversation summarised, once more if it was before; what there is stays so long."""
    fresh = {
        "state": SummaryState.PENDING,
        "attempts": 0,
        "lease_until": None,
        "error": "",
        "requested_at": Now(),
    }
    Summary.objects.update_or_create(conversation=conversation, defaults=fresh)


async def summaries_run_due(summarizers: SummarizerFactory) -> int:
    """Write all summaries that are due; returns how many were taken on.

    Raises:
        AWAY: the database is away.
    """
    taken = 0
    while (lease := await in_database(_take)) is not None:
        taken += 1
        async with lease_kept(Summary, lease.work):
            await _write(lease, summarizers(lease.agent))
    return taken


async def summaries_loop(summarizers: SummarizerFactory) -> None:
    """Write summaries as they become due, until cancelled. One loop a process is enough."""
    await work_loop("summaries", partial(summaries_run_due, summarizers), look_s=POLL_S)


def summaries_wake() -> None:
    """A summary may be due: do not wait for the next look. From any thread."""
    wake("summaries")


@transaction.atomic
def _take() -> Lease | None:
    """Take a lease on the summary that has been due for the longest time.

    What has to be redacted is summarised when it has been.
    """
    redacted = Q(conversation__redaction=None) | Q(conversation__redaction__state=WorkState.DONE)
    ended = Summary.objects.filter(redacted, conversation__status=ConversationStatus.ENDED)
    work = work_take(ended)
    return None if work is None else _lease(work)


def _lease(work: WorkLease) -> Lease:
    conversation = Conversation.objects.get(pk=work.pk)
    items = Item.objects.filter(conversation=conversation).exclude(status=ItemStatus.CANCELLED)
    return Lease(
        work=work,
        items=tuple(item.domain() for item in items.order_by("item_id")),
        language=conversation.language,
        agent=conversation.agent_snapshot,
    )


async def _write(lease: Lease, summarizers: Summarizers) -> None:
    error = ""
    if summarizers.model is not None and lease.attempt <= MOST_ATTEMPTS:
        draft, error, hopeless = await _draft(lease, summarizers.model)
        if draft:
            written = _Written(draft, SummaryMethod.MODEL, summarizers.model.name)
            await _finish(lease, written, summarizers.extractor)
            return
        if not hopeless and lease.attempt < MOST_ATTEMPTS:
            await in_database(work_again, Summary, lease.work, error)
            return
    draft, failure, _ = await _draft(lease, summarizers.extractive)
    if draft:
        name = summarizers.extractive.name
        written = _Written(draft, SummaryMethod.EXTRACTIVE, name, error)
        await _finish(lease, written, summarizers.extractor)
    elif lease.attempt < MOST_ATTEMPTS:
        await in_database(work_again, Summary, lease.work, failure)
    else:
        await in_database(work_fail, Summary, lease.work, failure)


async def _finish(lease: Lease, written: _Written, extractor: Extractor | None) -> None:
    """Pick out what the agent's schema asks for, and store everything."""
    picked = _Picked()
    if schema := lease.agent.get("extraction_schema"):
        picked = await _pick(lease, schema, extractor)
    if picked.again and lease.attempt < MOST_ATTEMPTS:
        await in_database(work_again, Summary, lease.work, picked.error)
    else:
        await in_database(_store, lease, written, picked)


async def _pick(lease: Lease, schema: Mapping[str, Any], extractor: Extractor | None) -> _Picked:
    if extractor is None:
        return _Picked(error=NO_EXTRACTOR)
    try:
        async with asyncio.timeout(EXTRACT_TIMEOUT_S):
            data = await extractor.extract(lease.items, schema=schema, language=lease.language)
    except ProviderError as error:
        return _Picked(error=f"{error.provider}: {error.kind}", again=error.retryable)
    except TimeoutError:
        return _Picked(error=f"{extractor.name}: timeout", again=True)
    except Exception as error:  # noqa: BLE001 - whatever one does, the summary is stored
        # No traceback: it may hold what was said.
        extra = {"call_id": lease.work.pk, "error": type(error).__name__}
        logger.error("An extractor failed", extra=extra)  # noqa: TRY400
        return _Picked(error=f"{extractor.name}: {type(error).__name__}")
    return _Picked(data)


async def _draft(lease: Lease, summarizer: Summarizer) -> tuple[SummaryDraft | None, str, bool]:
    """The draft; or none, why, and whether trying again is useless."""
    try:
        async with asyncio.timeout(SUMMARIZE_TIMEOUT_S):
            draft = await summarizer.summarize(lease.items, language=lease.language)
    except ProviderError as error:
        return None, f"{error.provider}: {error.kind}", not error.retryable
    except TimeoutError:
        return None, f"{summarizer.name}: timeout", False
    except Exception as error:  # noqa: BLE001 - whatever one does, the others get theirs
        # No traceback: it may hold what was said.
        extra = {"call_id": lease.work.pk, "error": type(error).__name__}
        logger.error("A summarizer failed", extra=extra)  # noqa: TRY400
        return None, f"{summarizer.name}: {type(error).__name__}", False
    return draft, "", False


@transaction.atomic
def _store(lease: Lease, written: _Written, picked: _Picked) -> None:
    draft = written.draft
    stored = work_done(
        Summary,
        lease.work,
        error=clean_text(written.error, 300),
        title=clean_text(draft.title, 200),
        summary=clean_text(draft.summary),
        key_points=clean_json(draft.key_points),
        next_steps=clean_json(draft.next_steps),
        outcome=clean_text(draft.outcome, 200),
        language=clean_text(draft.language, 35),
        method=written.method,
        provider=clean_text(written.provider, 100),
        extracted=None if picked.data is None else clean_json(picked.data),
        extraction_error=clean_text(picked.error, 300),
    )
    if stored:
        _tell(lease.work.pk, extracted=picked.data is not None)


def _tell(call_id: str, *, extracted: bool) -> None:
    """Once for each time that a summary was asked for."""
    row = Summary.objects.select_related("conversation").get(pk=call_id)
    sites, occasion = {call_id: row.conversation.site_slug}, row.requested_at.isoformat()
    deliveries_add(WebhookEvent.SUMMARY_READY, sites, occasion)
    if extracted:
        deliveries_add(WebhookEvent.DATA_EXTRACTED, sites, occasion)
