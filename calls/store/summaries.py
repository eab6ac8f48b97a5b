"""Summaries of ended conversations: state on a row, so that none is lost whatever dies when."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_hex
from typing import Any

from django.db import transaction
from django.db.models import F, Q
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
)
from calls.models.text import clean_json, clean_text
from calls.ports.errors import ProviderError
from calls.ports.summary import Extractor, Summarizer, SummaryDraft
from calls.store.database import AWAY, in_database

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 5
LEASE_S = 120
SUMMARIZE_TIMEOUT_S = 60
EXTRACT_TIMEOUT_S = 45
NO_EXTRACTOR = "Needs a language model."
FIRST_BACKOFF_S = 10
POLL_S = 5.0

_DUE = Q(state=SummaryState.PENDING, lease_until=None) | Q(
    state__in=[SummaryState.PENDING, SummaryState.RUNNING], lease_until__lt=Now()
)


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
    """A summary that is ours to write; `token` tells it from other leases of the same row."""

    call_id: str
    token: str
    attempt: int
    items: tuple[DomainItem, ...]
    language: str
    agent: Mapping[str, Any]


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
        await _write(lease, summarizers(lease.agent))
    return taken


async def summaries_loop(summarizers: SummarizerFactory) -> None:
    """Write summaries as they become due, until cancelled. One loop a process is enough."""
    waker = (asyncio.get_running_loop(), asyncio.Event())
    _wakers.add(waker)
    try:
        while True:
            waker[1].clear()
            try:
                await summaries_run_due(summarizers)
            except AWAY:
                logger.warning("No summaries while the database is away")
            try:
                async with asyncio.timeout(POLL_S):
                    await waker[1].wait()
            except TimeoutError:
                continue
    finally:
        _wakers.discard(waker)


_wakers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()


def summaries_wake() -> None:
    """A summary may be due: do not wait for the next look. From any thread."""
    for loop, event in tuple(_wakers):
        loop.call_soon_threadsafe(event.set)


@transaction.atomic
def _take() -> Lease | None:
    """Take a lease on the summary that has been due for the longest time."""
    ended = Summary.objects.filter(_DUE, conversation__status=ConversationStatus.ENDED)
    for row in ended.order_by("requested_at")[:10]:
        token = token_hex(16)
        mine = Summary.objects.filter(_DUE, pk=row.pk).update(
            state=SummaryState.RUNNING,
            lease=token,
            attempts=F("attempts") + 1,
            lease_until=_in_seconds(LEASE_S),
        )
        if mine:
            return _lease(row.pk, token)
    return None


def _lease(call_id: str, token: str) -> Lease:
    conversation = Conversation.objects.select_related("summary").get(pk=call_id)
    items = Item.objects.filter(conversation=conversation).exclude(status=ItemStatus.CANCELLED)
    return Lease(
        call_id=call_id,
        token=token,
        attempt=conversation.summary.attempts,
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
            await in_database(_again, lease, error)
            return
    draft, failure, _ = await _draft(lease, summarizers.extractive)
    if draft:
        name = summarizers.extractive.name
        written = _Written(draft, SummaryMethod.EXTRACTIVE, name, error)
        await _finish(lease, written, summarizers.extractor)
    elif lease.attempt < MOST_ATTEMPTS:
        await in_database(_again, lease, failure)
    else:
        await in_database(_fail, lease, failure)


async def _finish(lease: Lease, written: _Written, extractor: Extractor | None) -> None:
    """Pick out what the agent's schema asks for, and store everything."""
    picked = _Picked()
    if schema := lease.agent.get("extraction_schema"):
        picked = await _pick(lease, schema, extractor)
    if picked.again and lease.attempt < MOST_ATTEMPTS:
        await in_database(_again, lease, picked.error)
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
        extra = {"call_id": lease.call_id, "error": type(error).__name__}
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
        extra = {"call_id": lease.call_id, "error": type(error).__name__}
        logger.error("A summarizer failed", extra=extra)  # noqa: TRY400
        return None, f"{summarizer.name}: {type(error).__name__}", False
    return draft, "", False


def _store(lease: Lease, written: _Written, picked: _Picked) -> None:
    draft = written.draft
    _held(lease).update(
        state=SummaryState.DONE,
        lease_until=None,
        done_at=Now(),
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


def _again(lease: Lease, error: str) -> None:
    backoff_s = FIRST_BACKOFF_S * 2 ** (lease.attempt - 1)
    _held(lease).update(
        state=SummaryState.PENDING,
        lease_until=_in_seconds(backoff_s),
        error=clean_text(error, 300),
    )


def _fail(lease: Lease, error: str) -> None:
    _held(lease).update(state=SummaryState.FAILED, lease_until=None, error=clean_text(error, 300))


def _held(lease: Lease) -> Any:
    return Summary.objects.filter(pk=lease.call_id, state=SummaryState.RUNNING, lease=lease.token)


def _in_seconds(seconds: int) -> Any:
    return Now() + timedelta(seconds=seconds)
