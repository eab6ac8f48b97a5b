"""Conversations: listed, read, taken away, forgotten; recordings by a link that soon ends."""

from typing import Any

from django.db import connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from ninja import Path, Query, Router

from calls.api.answers import answers
from calls.api.door import ApiError, BearerKey, grant_of
from calls.api.shapes import (
    CallId,
    ConversationFull,
    ConversationOut,
    Conversations,
    Filters,
    ItemOut,
    LinkOut,
    SummaryOut,
    TurnOut,
    UseOut,
)
from calls.conf import calls_settings
from calls.media import private, sound_response
from calls.models import AuditAction, Conversation, Recording, Summary
from calls.store.audit import audit, audit_listened
from calls.store.exports import export_json, export_text
from calls.store.keys import Grant, key_grant
from calls.store.links import LinkRefusedError, recording_link, recording_link_read
from calls.store.reviews import review
from calls.store.seen import (
    Wanted,
    conversations_page,
    conversations_seen,
    key_label,
)
from calls.store.webhooks import money

router = Router(tags=["conversations"])


@router.get(
    "/conversations",
    auth=BearerKey("read"),
    response=answers(Conversations),
    operation_id="list_conversations",
    summary="List conversations",
)
def listed(request: HttpRequest, wanted: Query[Filters]) -> Conversations:
    """Newest first. Scope: `read`.

    `q` finds words that were said or stand in the summary; quotes keep them together.
    `started_after` takes that moment in, `started_before` does not. Pass `next_cursor` as `cursor`,
    with the same filters, for the next page.
    """
    try:
        page = conversations_page(
            grant_of(request), _wanted(wanted), cursor=wanted.cursor, most=wanted.limit
        )
    except (ValueError, RecursionError):
        raise ApiError(422, "The cursor is none of ours.", "bad_cursor") from None
    return Conversations(
        data=[ConversationOut(**_facts(row)) for row in page.rows], next_cursor=page.cursor
    )


@router.get(
    "/conversations/{call_id}",
    auth=BearerKey("read"),
    response=answers(ConversationFull, 404),
    operation_id="get_conversation",
    summary="Read a conversation",
    url_name="conversation",
)
def read(request: HttpRequest, call_id: Path[CallId]) -> ConversationFull:
    """With its items, turns, uses of services, and summary. Scope: `read`. It is audited."""
    grant = grant_of(request)
    row = _row(grant, call_id)
    audit(key_label(grant), AuditAction.VIEWED, row.call_id)
    summary: Summary | None = getattr(row, "summary", None)
    return ConversationFull(
        **_facts(row),
        items=[ItemOut.model_validate(item) for item in row.items.order_by("item_id")],
        turns=[TurnOut.model_validate(turn) for turn in row.turns.order_by("turn")],
        uses=[UseOut.model_validate(use) for use in row.uses.order_by("number")],
        summary=SummaryOut.model_validate(summary) if summary else None,
    )


@router.get(
    "/conversations/{call_id}/export.json",
    auth=BearerKey("read"),
    response=answers(dict[str, Any], 404),
    operation_id="export_conversation_json",
    summary="Take a conversation away as JSON",
)
def exported_json(request: HttpRequest, call_id: Path[CallId]) -> HttpResponseBase:
    """Everything on the record. Scope: `read`; the agent's settings only with `agents`."""
    grant = grant_of(request)
    row = _row(grant, call_id)
    content = export_json(review(row))
    if "agents" not in grant.scopes:
        content.pop("agent_snapshot", None)
    audit(key_label(grant), AuditAction.EXPORTED, row.call_id, detail="json")
    return _attached(JsonResponse(content), f"call-{row.call_id}.json")


_TEXT = {
    "responses": {
        200: {
            "description": "OK",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    }
}


@router.get(
    "/conversations/{call_id}/export.txt",
    auth=BearerKey("read"),
    response=answers(None, 404),
    operation_id="export_conversation_text",
    summary="Take a conversation away as text",
    openapi_extra=_TEXT,
)
def exported_text(request: HttpRequest, call_id: Path[CallId]) -> HttpResponseBase:
    """As it is read aloud. Scope: `read`."""
    grant = grant_of(request)
    row = _row(grant, call_id)
    text = export_text(review(row))
    audit(key_label(grant), AuditAction.EXPORTED, row.call_id, detail="txt")
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    return _attached(response, f"call-{row.call_id}.txt")


@router.get(
    "/conversations/{call_id}/recording",
    auth=BearerKey("recordings"),
    response=answers(LinkOut, 404),
    operation_id="link_recording",
    summary="Get a link to the recording",
)
def linked(request: HttpRequest, call_id: Path[CallId]) -> LinkOut:
    """Good for a minute, by itself: give it to a player, not to a log. Scope: `recordings`."""
    grant = grant_of(request)
    row = _row(grant, call_id)
    if grant.key_id is None or getattr(row, "recording", None) is None:
        raise ApiError(404, "There is no recording.", "no_recording")
    link = recording_link(row.call_id, grant.key_id)
    return LinkOut(url=request.build_absolute_uri(link.path), expires_at=link.expires_at)


_SOUND: dict[str, Any] = {
    "responses": {
        status: {
            "description": description,
            "content": {"audio/wav": {"schema": {"type": "string", "format": "binary"}}},
        }
        for status, description in ((200, "The recording"), (206, "A part of it"))
    }
    | {416: {"description": "No such part"}},
}


@router.get(
    "/recordings/{link}",
    auth=None,
    response=answers(None, 404),
    operation_id="hear_recording",
    summary="Hear a recording",
    openapi_extra=_SOUND,
)
def heard(request: HttpRequest, link: Path[str]) -> HttpResponseBase:
    """By a link of `link_recording`, which is all it takes. Takes `Range`. It is audited."""
    try:
        call_id, key_id = recording_link_read(link)
    except LinkRefusedError:
        raise ApiError(403, "The link is none, or has expired.", "link_expired") from None
    grant = _still_good(key_id)
    row = _row(grant, call_id)
    recording: Recording | None = getattr(row, "recording", None)
    if recording is None:
        raise ApiError(404, "There is no recording.", "no_recording")
    response = sound_response(request, recording, f"call-{row.call_id}")
    audit_listened(key_label(grant), row.call_id)
    # The link is the right to hear it, also for a player on another site's page.
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    _give_back_connections()
    return response


def _give_back_connections() -> None:
    """What is streamed from now on needs none, and a slow player takes its time."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _still_good(key_id: int) -> Grant:
    """What the key allows with which the link was made.

    Raises:
        ApiError: it is no longer good for recordings.
    """
    grant = key_grant(key_id)
    if grant is None or "recordings" not in grant.scopes:
        raise ApiError(403, "The link is none, or has expired.", "link_expired")
    return grant


def _wanted(filters: Filters) -> Wanted:
    return Wanted(
        site=filters.site,
        agent=filters.agent,
        caller=filters.caller,
        status=filters.status or "",
        words=filters.q,
        started_after=filters.started_after,
        started_before=filters.started_before,
    )


def _row(grant: Grant, call_id: str) -> Conversation:
    row = conversations_seen(grant).filter(pk=call_id).first()
    if row is None:
        raise ApiError(404, "There is no such call.", "no_such_call")
    return row


def _facts(row: Conversation) -> dict[str, Any]:
    summary: Summary | None = getattr(row, "summary", None)
    same = (
        "call_id", "caller", "metadata", "protocol", "language", "status", "end_reason",
        "started_at", "ended_at", "duration_ms", "turn_count", "interruption_count", "latency_ms",
    )  # fmt: skip
    return {
        **{name: getattr(row, name) for name in same},
        "site": row.site_slug,
        "agent": row.agent_slug,
        "cost": money(row.cost_micros),
        "currency": calls_settings().currency,
        "title": summary.title if summary else "",
        "recorded": getattr(row, "recording", None) is not None,
    }


def _attached(response: HttpResponse, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return private(response)
