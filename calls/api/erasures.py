"""Erasures: calls that are to be forgotten everywhere."""

from django.http import HttpRequest
from ninja import Path, Router, Status

from calls.api import conversations
from calls.api.answers import answers
from calls.api.door import ApiError, BearerKey, grant_of
from calls.api.shapes import CallId, ErasureIn, ErasureOut
from calls.models import Erasure
from calls.models.text import LARGEST_INTEGER
from calls.store.erasure import erasure_request
from calls.store.seen import conversations_seen, key_label

router = Router(tags=["erasures"])


@conversations.router.delete(
    "/conversations/{call_id}",
    tags=["erasures"],
    auth=BearerKey("erase"),
    response=answers(ErasureOut, 404, status=202),
    operation_id="erase_conversation",
    summary="Erase a conversation",
)
def erased(request: HttpRequest, call_id: Path[CallId]) -> Status[ErasureOut]:
    """With its words, summary, recording and place in the search. Scope: `erase`.

    It is done in the background: ask for the erasure until its state is `done`.
    """
    grant = grant_of(request)
    if not conversations_seen(grant).filter(pk=call_id).exists():
        raise ApiError(404, "There is no such call.", "no_such_call")
    return _asked(erasure_request(call_ids=[call_id], actor=key_label(grant)))


@router.post(
    "/erasures",
    auth=BearerKey("erase"),
    response=answers(ErasureOut, 404, status=202, body=True),
    operation_id="erase_caller",
    summary="Erase all calls of a caller",
)
def erased_caller(request: HttpRequest, wanted: ErasureIn) -> Status[ErasureOut]:
    """By the caller's reference, whole. Scope: `erase`.

    A key of a site erases that site's calls with this caller; one without a site, every site's.
    """
    grant = grant_of(request)
    seen = conversations_seen(grant).filter(caller=wanted.caller)
    call_ids = sorted(seen.order_by().values_list("pk", flat=True))
    if not call_ids:
        raise ApiError(404, "There are no calls of this caller.", "no_such_caller")
    everybody = grant.site is None and not grant.agents
    if everybody:
        row = erasure_request(caller=wanted.caller, actor=key_label(grant))
    else:
        row = erasure_request(call_ids=call_ids, actor=key_label(grant))
    return _asked(row)


@router.get(
    "/erasures/{erasure_id}",
    auth=BearerKey("erase"),
    response=answers(ErasureOut, 404),
    operation_id="get_erasure",
    summary="See how far an erasure has come",
)
def read(request: HttpRequest, erasure_id: Path[int]) -> ErasureOut:
    """Of those that were asked for with this key. Scope: `erase`."""
    mine = Erasure.objects.filter(actor=key_label(grant_of(request)))
    known = -1 < erasure_id <= LARGEST_INTEGER
    row = mine.filter(pk=erasure_id).first() if known else None
    if row is None:
        raise ApiError(404, "There is no such erasure.")
    return ErasureOut.model_validate(row)


def _asked(row: Erasure) -> Status[ErasureOut]:
    """The audit's entries are made when it is done."""
    row.refresh_from_db()
    return Status(202, ErasureOut.model_validate(row))
